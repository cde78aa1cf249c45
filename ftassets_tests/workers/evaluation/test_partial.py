from pathlib import Path

from ftassets.workers.evaluation.partial import PartialAnswers, discard

ROW = {"answer": "dim \u00e9\u2028", "tokens_out": 2, "truncated": False}


def test_rows_are_there_again_and_the_first_answer_stays(tmp_path: Path) -> None:
    output = tmp_path / "answers" / "one.parquet"
    first = PartialAnswers(output, "of")
    first.add({3: ROW, 1: ROW})
    first.add({3: {**ROW, "answer": "later"}, 2: ROW})
    assert PartialAnswers(output, "of").rows == first.rows == {3: ROW, 1: ROW, 2: ROW}


def test_a_torn_line_costs_only_itself_also_when_more_follow(tmp_path: Path) -> None:
    output = tmp_path / "one.parquet"
    PartialAnswers(output, "of").add({0: ROW, 1: ROW})
    [path] = tmp_path.iterdir()
    whole = path.read_bytes()
    for cut in range(1, len(whole) - len(whole[: whole.rindex(b"{")])):
        path.write_bytes(whole[:-cut])
        again = PartialAnswers(output, "of")
        assert set(again.rows) - {1} == {0}
        again.add({2: ROW})
        assert set(PartialAnswers(output, "of").rows) - {1} == {0, 2}


def test_answers_to_something_else_are_thrown_away(tmp_path: Path) -> None:
    output = tmp_path / "one.parquet"
    PartialAnswers(output, "of").add({0: ROW})
    assert PartialAnswers(output, "of something else").rows == {}
    assert PartialAnswers(output, "of").rows == {}


def test_a_file_another_run_has_finished_is_not_made_again(tmp_path: Path) -> None:
    output = tmp_path / "one.parquet"
    slower = PartialAnswers(output, "of")
    discard(output)
    slower.add({0: ROW})
    assert slower.rows == {0: ROW}
    assert list(tmp_path.iterdir()) == []
