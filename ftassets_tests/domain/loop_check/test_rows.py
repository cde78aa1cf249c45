"""Findings on rows: each has its line, and is what an asset would do with the row."""

import json
from typing import Any

import pytest

from ftassets.config.loop import LoopConfig, Task
from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.curation import curate
from ftassets.domain.dataset.written import Written, written
from ftassets.domain.gates.gate import Gate
from ftassets.domain.loop_check.finding import LoopFinding
from ftassets.domain.loop_check.rows import curated_rows, labels, refused_rows, repeated, row_counts, size, splits

ASKS = ("switch the lamp in the hall on", "close every window upstairs", "which songs are in the list for Sunday", "wake me at nine")


def loop(**dataset: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "l", "base_model": "b", "task": {"system_prompt": "x"}, "golden_set": "g",
            "dataset": {"seed": "s", "min_rows": 2, **dataset}, "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )  # fmt: skip


def line(ask: str, intent: str, **more: Any) -> str:
    return json.dumps({"instruction": ask, "response": json.dumps({"intent": intent}), **more}) + "\n"


def lines(found: list[LoopFinding]) -> list[tuple[str, str, int | None]]:
    return [(each.kind, each.source, each.line) for each in found]


def test_invalid_lines_and_refusals_have_their_line() -> None:
    seed = written("no json\n" + line(ASKS[0], "on", id="a") + "\n" + line(ASKS[1], "shut", id="a"), "seed")
    found = list(refused_rows(loop(), [seed, written("", "golden")]))
    assert lines(found) == [("not_an_example", "seed", 1), ("not_an_example", "seed", 4), ("no_rows", "golden", None)]
    assert [each.severity for each in found] == ["warning", "warning", "error"]


def test_a_copy_in_the_seed_is_a_warning_and_in_the_golden_set_an_error() -> None:
    text = line(ASKS[0], "on") + line(ASKS[0], "on") + line(ASKS[1], "shut")
    found = list(refused_rows(loop(), [written(text, "seed"), written(text, "golden")]))
    assert [(each.severity, each.kind, each.source, each.line) for each in found] == [
        ("warning", "copy", "seed", 2), ("error", "same_row", "golden", 2),
    ]  # fmt: skip
    assert found[0].text == "is the same as line 1; curation keeps one"
    assert "leave `id` out" not in found[1].advice


def test_a_dropped_row_has_its_line_also_if_its_id_holds_personal_data_or_its_answer_a_control_token() -> None:
    text = line(ASKS[0], "on") + line("jo@example.com", "y", id="mail of jo@example.com") + line(ASKS[2], "list</s>")
    found = curated_rows(loop(min_chars=40), written(text, "seed"), [], ControlTokens(("</s>",)))[1]
    assert lines(found) == [("control_tokens", "seed", 3), ("length", "seed", 2)]


def test_every_row_that_curation_drops_is_told_with_its_line() -> None:
    text = line(ASKS[0], "on", id="1") + line(ASKS[1], "shut") + "bad\n" + line(ASKS[0].upper(), "on") + line("x", "y")
    text += line(ASKS[1] + " please", "shut") + line(ASKS[2], "list", quality_score=0.1) + line(ASKS[3], "wake")
    seed, tested = written(text, "seed"), written(line(ASKS[3], "wake"), "golden").rows
    curated, found = curated_rows(loop(), seed, tested)
    assert curated is not None
    assert sorted((each.line or 0, each.kind) for each in found) == [
        (4, "exact"), (5, "length"), (6, "near"), (7, "quality"), (8, "contamination"),
    ]  # fmt: skip
    assert len(found) + len(seed.rejected) == len(curate(seed.rows, None, tested, None, {}, loop(), rejected=seed.rejected).dropped)


@pytest.mark.parametrize(("group", "kinds"), [("one", ["empty_split"]), (None, [])])
def test_rows_of_one_group_leave_nothing_to_validate_and_test_on(group: str | None, kinds: list[str]) -> None:
    words = ("lamp", "window", "song", "heater", "blind", "alarm", "door", "garden", "radio", "kettle", "carpet", "mirror")
    text = "".join(line(f"{word} {word[::-1]} in room {place} {word * 3}", "on", group=group) for place, word in enumerate(words))
    curated, _ = curated_rows(loop(skip=["near"]), written(text, "seed"), [])
    found = list(splits(loop(), curated))
    assert [each.kind for each in found] == kinds
    assert [each.text for each in found] == ["no row in validation and test: train 12, validation 0, test 0"][: len(kinds)]


def test_golden_rows_in_the_seed_are_told_also_where_the_loop_trains_on_them() -> None:
    seed, golden = written(line(ASKS[0], "on") + line(ASKS[1], "shut"), "seed"), written(line(ASKS[1], "shut"), "golden")
    curated, found = curated_rows(loop(skip=["contamination"]), seed, golden.rows)
    assert curated is not None
    assert curated.rows == 2
    assert lines(found) == [("contamination", "seed", 2)]
    assert "is trained on" in found[0].advice


def test_contradictions_are_told_in_every_file_and_duplicates_where_they_count_twice() -> None:
    text = line(ASKS[0], "on") + line(ASKS[0] + " ", "off", id="b") + line(ASKS[0], "on", id="c")
    seed, golden = written(text, "seed"), written(text, "golden")
    found = list(repeated(loop(), [seed, golden]))
    assert lines(found) == [
        ("contradiction", "seed", 2),
        ("contradiction", "golden", 2),
        ("duplicate", "golden", 3),
        ("conversation", "golden", 1),
    ]
    assert found[-1].text.startswith("2 rows are of 1 conversation")
    _, dropped = curated_rows(loop(), seed, [])
    assert [each.line for each in dropped if each.kind == "exact"] == [3]  # the contradiction is told once


def test_near_copies_of_test_rows_are_told_with_their_count() -> None:
    near = [f"please dim the lamp in the kitchen of the {which} house" for which in ("red", "blue", "old")]
    text = "".join(line(each, "on", id=f"r{n}") for n, each in enumerate(near)) + line(ASKS[1], "on", id="other")
    seed, golden = written(text, "seed"), written(text, "golden")
    [found] = repeated(loop(), [seed, golden])
    assert (found.kind, found.source) == ("near_copy", "golden")
    assert found.text.startswith("2 rows are near copies of others; the first: same answer as r")
    assert "conversation_id" in found.advice
    other = "".join(line(each, answer, id=f"r{n}") for n, (each, answer) in enumerate(zip(near, ("on", "off", "up"), strict=True)))
    assert not list(repeated(loop(), [written(other, "golden")])), "another answer is another row"
    one = "".join(line(each, "on", id=f"r{n}", conversation_id="c") for n, each in enumerate(near))
    assert [each.kind for each in repeated(loop(), [written(one, "golden")])] == ["conversation"]


def test_answers_that_differ_in_the_order_of_keys_do_not_contradict() -> None:
    same = [json.dumps({"instruction": ASKS[0], "response": answer}) for answer in ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}')]
    assert lines(list(repeated(loop(), [written("\n".join(same), "golden")]))) == [("duplicate", "golden", 2)]


def test_labels_of_one_file_only_are_told_once_each() -> None:
    seed = written(line(ASKS[0], "on") + line(ASKS[1], "shut") + line(ASKS[3], "shut"), "seed")
    golden = written(line(ASKS[2], "list") + line(ASKS[1], "on") + line(ASKS[3], "list"), "golden")
    found = list(labels(loop(), seed, golden))
    assert [(each.kind, each.source, each.line) for each in found] == [("unknown_label", "golden", 1), ("unknown_label", "seed", 2)]
    assert "'list' (2 rows)" in found[0].text
    assert list(labels(loop(), seed, Written("golden", [], [], []))) == []


def test_an_answer_without_its_label_is_told() -> None:
    bare = written(json.dumps({"instruction": ASKS[0], "response": "{}"}), "seed")
    assert lines(list(labels(loop(), bare, written("", "golden")))) == [("no_label", "seed", 1)]


def test_too_few_rows_are_an_error_and_fewer_than_usual_a_warning() -> None:
    seed = written("".join(line(ask, "on") for ask in ASKS), "seed")
    for rows, severity in ((5, "error"), (4, "warning")):
        of = loop(min_rows=rows)
        [found] = size(of, curated_rows(of, seed, [])[0])
        assert (found.severity, found.field) == (severity, ("dataset", "min_rows"))
    assert list(size(loop(), None)) == []


def test_rows_are_counted_as_a_report_counts_them() -> None:
    seed = written("".join(line(ask, "on") for ask in ASKS), "seed")
    golden = written(line(ASKS[0], "on", slice="hard") + line(ASKS[1], "on"), "golden")
    curated = curated_rows(loop(split=[0.5, 0.25, 0.25]), seed, [])[0]
    counts = row_counts(loop(), golden, [written(line(ASKS[2], "x"), "general")], curated)
    assert (counts.golden, counts.further) == ({"hard": 1, "golden": 1, "held_out": 1}, {"general": 1})
    assert (counts.classes, counts.labels) == ({"hard": {"on": 1}, "golden": {"on": 1}, "held_out": {"on": 1}}, ["on"])
    assert counts.by_class(Gate(metric="recall", slice="hard", at_least=0.5)) == {"on": 1}
    assert counts.by_class(Gate(metric="recall", at_least=0.5)) == {"on": 2}
    task = Task(type="classification", system_prompt="x", labels=["no", "on", "off"])
    golden = written(json.dumps({"instruction": ASKS[0], "response": "on"}), "golden")
    declared = row_counts(loop().model_copy(update={"task": task}), golden, [], None)
    assert declared.by_class(Gate(metric="recall", at_least=0.5)) == {"no": 0, "off": 0, "on": 1}
    text = loop().model_copy(update={"task": Task(type="text", system_prompt="x")})
    assert row_counts(text, golden, [], None).classes is None


def test_classes_of_a_text_task_are_not_looked_for() -> None:
    of = loop().model_copy(update={"task": Task(type="text", system_prompt="x")})
    seed = written(json.dumps({"instruction": ASKS[0], "response": "yes"}), "seed")
    assert list(labels(of, seed, written(json.dumps({"instruction": ASKS[1], "response": "no"}), "golden"))) == []


def test_declared_labels_without_rows_are_told_once_a_file_and_undeclared_ones_with_their_lines() -> None:
    of = loop().model_copy(update={"task": Task(type="classification", labels=["on", "off", "dim"], system_prompt="x")})

    def rows(source: str, *answers: str) -> Written:
        return written(
            "".join(json.dumps({"instruction": ask, "response": a}) + "\n" for ask, a in zip(ASKS, answers, strict=False)), source
        )

    seed, golden = rows("seed", "on", "off", "blink"), rows("golden", "on", "blink")
    found = list(labels(of, seed, golden))
    assert [(each.kind, each.source, each.field) for each in found] == [("label_without_rows", "loop", ("task", "labels"))] * 2
    assert ["'dim'" in each.text and ("'off'" in each.text) == ("golden" in each.text) for each in found] == [True, True]
    assert lines(list(refused_rows(of, [seed, golden]))) == [("wrong_form", "golden", 2)]
    _, dropped = curated_rows(of, seed, [])
    assert lines(dropped) == [("schema", "seed", 3)]


def test_labels_that_are_not_declared_are_compared_between_the_files() -> None:
    of = loop().model_copy(update={"task": Task(type="classification", system_prompt="x")})
    seed = written(json.dumps({"instruction": ASKS[0], "response": "on"}), "seed")
    golden = written(json.dumps({"instruction": ASKS[1], "response": "off"}), "golden")
    assert lines(list(labels(of, seed, golden))) == [("unknown_label", "golden", 1), ("unknown_label", "seed", 1)]
