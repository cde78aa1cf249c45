"""What is left of states and journal after a crash."""

import json
from pathlib import Path

import pytest

from ftassets.backends.control.base import Overtaken
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.journal import Journal, read_state
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.errors import StateDamaged

A, B = "a" * 64, "b" * 64
SERVING = EndpointState(production=A)


def opened(folder: Path) -> Journal:
    return Journal(FilesControl(folder))


def test_state_and_entries_survive_a_restart(tmp_path):
    journal = opened(tmp_path)
    journal.record("one", "start", "cli", "first", SERVING, 1.0)
    journal.record("two", "start", "cli", "first", EndpointState(production=B), 2.0)
    again = opened(tmp_path)
    assert again.state("one") == SERVING
    assert again.state("two").production == B
    assert again.state("three") == EndpointState()
    assert again.entries(1) == journal.entries(1)
    assert again.record("one", "stage", "admin", "", SERVING, 3.0).number == 3


def test_torn_last_line_is_cut_off(tmp_path):
    journal = opened(tmp_path)
    journal.record("one", "start", "cli", "first", SERVING, 1.0)
    with (tmp_path / "gateway" / "journal.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "at": 2.0, "lo')
    again = opened(tmp_path)
    assert again.record("one", "rollback", "cli", "second", SERVING, 3.0).number == 2
    assert [transition.reason for transition in opened(tmp_path).entries()] == ["first", "second"]


def test_change_that_reached_only_the_journal_counts(tmp_path):
    journal = opened(tmp_path)
    journal.record("one", "start", "cli", "", SERVING, 1.0)
    before = (tmp_path / "gateway" / "one.state.json").read_bytes()
    moved = SERVING.start(B, 20, 60, 2.0)
    journal.record("one", "start", "cli", "", moved, 2.0)
    (tmp_path / "gateway" / "one.state.json").write_bytes(before)
    assert opened(tmp_path).state("one") == moved


class FullDisk(FilesControl):
    """A disk that takes neither the log nor the copy, as `full` says."""

    full: str = ""

    def append(self, key: str, line: bytes, after: int | None = None) -> int:
        if self.full == "log":
            raise OSError(28, "No space left on device")
        return super().append(key, line, after)

    def write(self, key: str, content: bytes) -> None:
        if self.full == "copy":
            raise OSError(28, "No space left on device")
        super().write(key, content)


def test_a_change_is_made_or_refused_and_stays_so_after_a_restart(tmp_path, caplog):
    control = FullDisk(tmp_path)
    journal = Journal(control)
    journal.record("one", "start", "cli", "", SERVING, 1.0)
    moved = SERVING.start(B, 20, 60, 2.0)
    control.full = "log"
    with pytest.raises(OSError, match="No space left"):
        journal.record("one", "start", "cli", "", moved, 2.0)
    assert journal.state("one") == opened(tmp_path).state("one") == read_state(FilesControl(tmp_path), "one") == SERVING
    control.full = "copy"
    assert journal.record("one", "start", "cli", "", moved, 2.0).number == 2
    assert "the journal has the change" in caplog.text
    assert journal.state("one") == opened(tmp_path).state("one") == read_state(FilesControl(tmp_path), "one") == moved
    with pytest.raises(OSError, match="No space left"):
        journal.keep("one", moved.renew(60, 50.0), 2)
    assert journal.state("one") == opened(tmp_path).state("one") == moved


def test_renewed_lease_is_newer_than_its_journal_entry(tmp_path):
    journal = opened(tmp_path)
    canary = SERVING.start(B, 20, 60, 2.0)
    journal.record("one", "start", "cli", "", canary, 2.0)
    journal.keep("one", canary.renew(60, 50.0), journal.number("one"))
    assert opened(tmp_path).state("one").lease_until == 110.0


@pytest.mark.parametrize("known", [True, False], ids=["taken over", "not read yet"])
def test_a_renewal_does_not_undo_what_another_gateway_did_meanwhile(tmp_path, known):
    journal, canary = opened(tmp_path), SERVING.start(B, 20, 60, 2.0)
    journal.record("one", "start", "cli", "", canary, 2.0)
    number = journal.number("one")
    other = opened(tmp_path)
    other.record("one", "rollback", "anna", "bad", canary.rollback(3.0), 3.0)
    if known:
        journal.take(journal.read_new())
    with pytest.raises(Overtaken):
        journal.keep("one", canary.renew(60, 50.0), number)
    assert opened(tmp_path).state("one") == other.state("one") == canary.rollback(3.0)


def test_unreadable_line_in_the_middle_is_left_out_and_the_numbers_go_on(tmp_path, caplog):
    journal = opened(tmp_path)
    for number in range(3):
        journal.record("one", "stage", "admin", str(number), SERVING, 1.0)
    path = tmp_path / "gateway" / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "garbage", lines[2]]) + "\n")
    again = opened(tmp_path)
    assert [transition.number for transition in again.entries()] == [1, 3]
    assert "line 2" in caplog.text
    assert again.record("one", "stage", "admin", "", SERVING, 1.0).number == 4


def test_state_edited_into_nonsense_is_refused(tmp_path):
    opened(tmp_path).record("one", "start", "cli", "", SERVING, 1.0)
    (tmp_path / "gateway" / "one.state.json").write_text(json.dumps({"number": 1, "state": {"weight": 500}}))
    opened(tmp_path).record("two", "start", "cli", "", SERVING, 2.0)
    assert opened(tmp_path).state("two") == SERVING, "one damaged loop hides no other"
    with pytest.raises(StateDamaged, match="not the state of a loop"):
        opened(tmp_path).state("one")
    with pytest.raises(StateDamaged, match="not the state of a loop"):
        read_state(FilesControl(tmp_path), "one")


def test_the_last_state_is_there_for_others_and_reading_it_changes_nothing(tmp_path):
    control = FilesControl(tmp_path)
    assert read_state(control, "one") is None
    opened(tmp_path).record("one", "start", "cli", "", SERVING, 1.0)
    with (tmp_path / "gateway" / "journal.jsonl").open("ab") as file:
        file.write(b"torn")
    assert read_state(control, "one") == SERVING
    assert opened(tmp_path).state("one") == SERVING
    assert (tmp_path / "gateway" / "journal.jsonl").read_bytes().endswith(b"torn")
