"""Files of days that left the log: whole, found by user and id, and rewritten without what is forgotten."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.backends.traffic_log.day_files import DayFiles, Moved, NotCopied, read, to_parquet, without_stored
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.errors import InvalidInput
from ftassets.testing.contracts.traffic_log import exchange

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.none() | st.floats(0, 1e9)
ROWS = st.builds(
    replace, st.just(exchange(1)), id=TEXTS, prompt=TEXTS, error=st.none() | TEXTS, first_token_ms=NUMBERS,
    tokens_in=st.none() | st.integers(0, 10**6), well_formed=st.none() | st.booleans(), at=st.floats(-1e9, 1e10),
)  # fmt: skip
EVENTS = st.lists(st.tuples(st.floats(0, 1e9), st.none() | st.sampled_from(["up", "down"]), st.none() | TEXTS), max_size=3)


def with_feedback(row: Exchange, events: list[tuple[float, str | None, str | None]]) -> Moved:
    return Moved(row, [Feedback(row.id, *event) for event in events])


def moved(number: int, events: int = 0, **changes: object) -> Moved:
    row = exchange(number, **changes)
    return Moved(row, [Feedback(row.id, float(n), "up", None) for n in range(events)])


@pytest.fixture
def files(tmp_path: Path) -> DayFiles:
    return DayFiles(tmp_path / "days")


@given(written=st.lists(st.builds(with_feedback, ROWS, EVENTS), max_size=4))
def test_rows_come_back_as_they_went_in(written: list[Moved], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("days") / "0.parquet"
    path.write_bytes(to_parquet(written))
    assert list(read(path)) == written


def test_files_of_a_day_are_numbered_and_no_row_makes_no_file(files: DayFiles) -> None:
    assert files.add("voice", 0, []) is None
    for n in range(3):
        files.add("voice", 20_000, [moved(n)])
    files.add("triage", 0, [moved(9)])
    assert [path.relative_to(files.folder).as_posix() for path in files.files("voice", 20_000)] == [
        f"voice/2024-10-04/00000{n}.parquet" for n in range(3)
    ]
    assert (files.files("voice", 1), files.loops()) == ([], ["triage", "voice"])


def test_what_a_file_has_with_as_much_feedback_is_not_stored_again(files: DayFiles) -> None:
    files.add("voice", 0, [moved(1), moved(2, 2)])
    files.add("voice", 0, [moved(3)])
    rows = [moved(1), moved(2, 2), moved(3, 1), moved(4)]
    assert without_stored(rows, files.files("voice", 0)) == rows[2:]
    assert without_stored(rows, []) == rows


def test_rows_are_found_by_user_and_by_id_and_erased(files: DayFiles) -> None:
    files.add("voice", 0, [moved(1, user="a"), moved(2, user="b"), moved(3, user="a")])
    kept = files.add("voice", 1, [moved(4, user="b")])
    files.add("voice", 2, [moved(5, user="a")])
    files.add("triage", 0, [moved(1, loop="triage", user="a")])
    assert kept is not None
    before = kept.stat().st_mtime_ns
    assert [row.id for row in files.find("voice", user="a")] == ["voice-1", "voice-3", "voice-5"]
    assert [row.id for row in files.find("voice", user="c", ids={"voice-4", "triage-1"})] == ["voice-4"]
    assert [*files.find("voice"), *files.find("nobody", user="a")] == []
    with files.held():
        assert files.erase("voice", {"voice-1", "voice-3", "voice-5", "other"}) == 3
        assert files.erase("voice", {"voice-1", "voice-3", "voice-5", "other"}) == 0
    assert [row.id for row in files.find("voice", ids=[f"voice-{n}" for n in range(6)])] == ["voice-2", "voice-4"]
    assert kept.stat().st_mtime_ns == before, "a file that has none of them is left alone"
    assert (files.files("voice", 2), len(list(files.find("triage", user="a")))) == ([], 1)


def test_no_text_is_left_by_a_write_that_was_killed(files: DayFiles) -> None:
    path = files.add("voice", 0, [moved(1)])
    assert path is not None
    partial = path.with_name(".000001.parquet.x7f3")
    partial.write_bytes(to_parquet([moved(2)]))
    assert files.files("voice", 0) == [path]
    with files.held():
        files.erase("voice", {"voice-2"})
    assert not partial.exists()
    path.rename(partial)
    assert files.loops() == ["voice"], "what is left is found though no file is whole"


def test_a_folder_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "days").write_text("a file in the way")
    files = DayFiles(tmp_path / "days")
    with pytest.raises(NotCopied, match=r"days \(.*none is deleted: .*traffic\.export"), files.held():
        pass
    with pytest.raises(NotCopied, match="none is deleted"):
        files.add("voice", 0, [moved(1)])


def test_a_damaged_file_is_named(files: DayFiles) -> None:
    path = files.add("voice", 0, [moved(1)])
    assert path is not None
    path.write_bytes(b"PAR1 and nothing else")
    for work in (lambda: list(read(path)), lambda: list(files.find("voice", user="u")), lambda: without_stored([moved(1)], [path])):
        with pytest.raises(InvalidInput, match=r"000000\.parquet is not a file of moved traffic"):
            work()
