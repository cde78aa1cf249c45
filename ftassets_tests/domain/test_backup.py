"""What a backup holds, in which order, and that one of this release can be read by the next."""

import pytest

from ftassets.domain.backup import SECRETS, Backup, is_left_out, pass_of
from ftassets_tests import ROOT


@pytest.mark.parametrize("path", [*SECRETS, "work/a", "processes/up.json", "gateway/address.json", "traffic.db-wal", "x/.tmp", "a.lock"])
def test_secrets_and_what_is_of_this_machine_are_left_out(path: str) -> None:
    assert is_left_out(path)


@pytest.mark.parametrize("path", ["traffic.db", "keys/abc.pub.pem", "keys/abc.revoked.json", "gateway/support.state.json", "loops.json"])
def test_state_is_held(path: str) -> None:
    assert not is_left_out(path)


def test_what_names_others_is_copied_before_them() -> None:
    chain = ["audit/chain.jsonl", "gateway/journal.jsonl", "releases/support/a.dsse.json", "versions/a/manifest.json"]
    assert [pass_of(path) for path in chain] == [0, 1, 2, 3]
    assert pass_of("audit/chain.jsonl") < pass_of("pauses/support.jsonl")
    assert pass_of("datasets.git/refs/heads/main") < pass_of("datasets.git/objects/ab/cd")
    assert pass_of("mlflow.db") < pass_of("mlartifacts/support/adapter")


def test_a_stored_backup_is_read() -> None:
    sample = (ROOT / "ftassets_tests" / "samples" / "v3" / "backup.json").read_bytes()
    found = Backup.parse(sample)
    assert (len(found.files), len(found.databases), found.size, len(found.chunks)) == (2, 1, 16, 4)
    assert Backup.parse(found.document()) == found
    before = Backup.parse((ROOT / "ftassets_tests" / "samples" / "v3" / "backup_1.json").read_bytes())
    assert before == found.model_copy(update={"databases": ()})
