"""What is left of states and journal after a crash."""

import json

import pytest
from ftassets.gateway.journal import Journal

from ftassets.domain.rollout.endpoint import EndpointState

A, B = "a" * 64, "b" * 64
SERVING = EndpointState(production=A)


def test_state_and_entries_survive_a_restart(tmp_path):
    journal = Journal(tmp_path)
    journal.record("one", "start", "cli", "first", SERVING, 1.0)
    journal.record("two", "start", "cli", "first", EndpointState(production=B), 2.0)
    again = Journal(tmp_path)
    assert again.state("one") == SERVING
    assert again.state("two").production == B
    assert again.state("three") == EndpointState()
    assert again.entries(1) == journal.entries(1)
    assert again.record("one", "stage", "admin", "", SERVING, 3.0).number == 3


def test_torn_last_line_is_cut_off(tmp_path):
    journal = Journal(tmp_path)
    journal.record("one", "start", "cli", "first", SERVING, 1.0)
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"number": 2, "at": 2.0, "lo')
    again = Journal(tmp_path)
    assert again.record("one", "rollback", "cli", "second", SERVING, 3.0).number == 2
    assert [transition.reason for transition in Journal(tmp_path).entries()] == ["first", "second"]


def test_change_that_reached_only_the_journal_counts(tmp_path):
    journal = Journal(tmp_path)
    journal.record("one", "start", "cli", "", SERVING, 1.0)
    before = (tmp_path / "one.state.json").read_bytes()
    moved = SERVING.start(B, 20, 60, 2.0)
    journal.record("one", "start", "cli", "", moved, 2.0)
    (tmp_path / "one.state.json").write_bytes(before)
    assert Journal(tmp_path).state("one") == moved


def test_renewed_lease_is_newer_than_its_journal_entry(tmp_path):
    journal = Journal(tmp_path)
    canary = SERVING.start(B, 20, 60, 2.0)
    journal.record("one", "start", "cli", "", canary, 2.0)
    journal.keep("one", canary.renew(60, 50.0))
    assert Journal(tmp_path).state("one").lease_until == 110.0


def test_unreadable_line_in_the_middle_is_left_out_and_the_numbers_go_on(tmp_path, caplog):
    journal = Journal(tmp_path)
    for number in range(3):
        journal.record("one", "stage", "admin", str(number), SERVING, 1.0)
    path = tmp_path / "journal.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], "garbage", lines[2]]) + "\n")
    again = Journal(tmp_path)
    assert [transition.number for transition in again.entries()] == [1, 3]
    assert "line 2" in caplog.text
    assert again.record("one", "stage", "admin", "", SERVING, 1.0).number == 4


def test_state_edited_into_nonsense_is_refused(tmp_path):
    Journal(tmp_path).record("one", "start", "cli", "", SERVING, 1.0)
    (tmp_path / "one.state.json").write_text(json.dumps({"number": 1, "state": {"weight": 500}}))
    with pytest.raises(ValueError, match="not the state of a loop"):
        Journal(tmp_path)
