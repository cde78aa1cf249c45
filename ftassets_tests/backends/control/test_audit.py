"""Records of who decided what, chained: what is changed, removed, moved or cut off is named; on files and in PostgreSQL."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.backends.control.audit import CHAIN, AuditEntry, Head, Sealer, entries, faults, seal, sealing
from ftassets.backends.control.base import Control, Locked
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.journal import JOURNAL, Journal
from ftassets.backends.control.pauses import pause
from ftassets.backends.control.postgres import PostgresControl
from ftassets.backends.control.releases import Releases
from ftassets.backends.signer.folder import FolderSigner
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.release.attestation import statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.postgres_server import PostgresServer
from ftassets_tests import ROOT

VERSION = "a" * 64


@pytest.fixture
def signer(tmp_path: Path) -> FolderSigner:
    return FolderSigner(tmp_path / "keys")


def approve(control: Control, signer: FolderSigner, reason: str) -> None:
    yes = Approval(loop="support", version=VERSION, report_digest="e" * 64, name="ben", role="lead", reason=reason, issued_at=1)
    Releases(control, signer).write("support", VERSION, "approval", approval_statement(yes))


def decide(control: Control, signer: FolderSigner) -> None:
    journal = Journal(control)
    for number, action in enumerate(("start", "ramp", "rollback")):
        journal.record("support", action, "ben", f"reason {number}", EndpointState(), float(number))
    pause(control, "support", "holiday", "anna", 5.0)
    approve(control, signer, "good")
    control.write("kept_loops/support.json", b"{}")


@pytest.fixture
def files(tmp_path: Path, signer: FolderSigner) -> FilesControl:
    control = FilesControl(tmp_path)
    decide(control, signer)
    seal(control, signer, 10.0)
    return control


def test_every_kind_of_record_is_in_the_chain_once(files: FilesControl, signer: FolderSigner) -> None:
    said = [entry.says for entry in entries(files)]
    assert said[:4] == [
        "support: start by ben: reason 0", "support: ramp by ben: reason 1", "support: rollback by ben: reason 2",
        "support: pause by anna: holiday",
    ]  # fmt: skip
    assert said[4:6] == [f"approval of version {VERSION[:12]} of support by ben: good", "the loop file of support serves"]
    assert said[6] == f"key {signer.key_id[:12]} is trusted"
    head = seal(files, signer, 11.0)
    assert (head.number, len(entries(files)), faults(files, signer, {"a backup": head})) == (7, 7, [])
    signer.revoke(signer.key_id, "lost")
    files.write("kept_loops/support.json", b'{"a": 1}')
    assert seal(files, signer, 12.0).number == 9
    assert faults(files, signer, {"a backup": head}) == [], "a loop file may change, and a key be revoked"


def test_what_is_replaced_is_no_fault_as_long_as_it_is_kept(files: FilesControl, signer: FolderSigner, tmp_path: Path) -> None:
    approve(files, signer, "better")
    assert seal(files, signer, 11.0).number == 8
    assert faults(files, signer) == []
    [replaced] = (tmp_path / "releases" / "support" / "replaced").iterdir()
    replaced.unlink()
    assert [fault.partition(" is not")[0] for fault in faults(files, signer)] == [f"releases/support/{VERSION}.approval.dsse.json"]


def swapped(lines: list[bytes]) -> list[bytes]:
    return [lines[1], lines[0], *lines[2:]]


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        (JOURNAL, lambda lines: [lines[0].replace(b"reason 0", b"reason 9"), *lines[1:]], ":1 is not what it was when entry 1"),
        (JOURNAL, lambda lines: lines[:-1], ":3 is gone, which was there when entry 3 was made: support: rollback by ben"),
        (JOURNAL, swapped, ":1 is not what it was"),
        (CHAIN, lambda lines: [lines[0].replace(b"reason 0", b"reason 9"), *lines[1:]], "does not follow entry 1, which was changed"),
        (CHAIN, lambda lines: [lines[0], *lines[2:]], "entry 2 of the chain has the number 3"),
        (CHAIN, swapped, "entry 1 of the chain has the number 2"),
        (CHAIN, lambda lines: [b"{", *lines[1:]], "entry 1 of the chain cannot be read"),
    ],
)
def test_a_changed_removed_or_moved_entry_is_named(
    files: FilesControl, signer: FolderSigner, key: str, change: Callable[[list[bytes]], list[bytes]], words: str
) -> None:
    files.write(key, b"".join(line + b"\n" for line in change(files.lines(key))))
    assert any(words in fault for fault in faults(files, signer)), faults(files, signer)


def test_a_chain_that_was_cut_shows_against_an_earlier_end(files: FilesControl, signer: FolderSigner) -> None:
    head = seal(files, signer, 11.0)
    lines = files.lines(CHAIN)
    files.write(CHAIN, b"".join(line + b"\n" for line in lines[:-1]))
    assert faults(files, signer) == [], "by itself it is a shorter chain"
    assert ["its end was cut off" in fault for fault in faults(files, signer, {"a backup": head})] == [True]
    seal(files, signer, 99.0)
    assert faults(files, signer, {"a backup": head}) != [], "written anew it has another digest"
    assert faults(files, signer, {"a backup": replace(head, number=1)}) != []
    assert faults(files, signer, {"a backup": Head(0, "")}) == []


def release(control: Control, signer: FolderSigner, head: Head) -> None:
    payload = statement("support", VERSION, {"weights": "d" * 64}, {"verdicts": {"gate": "PASS"}, "audit": head.document()})
    Releases(control, signer).write("support", VERSION, "release", payload)


def test_a_chain_that_was_cut_shows_against_each_release_also_a_replaced_one(files: FilesControl, signer: FolderSigner) -> None:
    for number in (1, 2):
        Journal(files).record("support", "ramp", "ben", f"more {number}", EndpointState(), 20.0)
        with sealing(files, signer, 20.0) as head:
            release(files, signer, head)
    seal(files, signer, 21.0)
    assert faults(files, signer) == []
    files.write(CHAIN, b"".join(line + b"\n" for line in files.lines(CHAIN)[: head.number - 1]))
    [found] = faults(files, signer)
    assert found.startswith(f"the release of version {VERSION[:12]} of support names an entry {head.number} that the chain does not have")
    files.delete(CHAIN)
    assert len(faults(files, signer)) == 2, "the one that was replaced names its end too"


class Counting(FilesControl):
    """Which documents were read, and from where on logs were."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.documents: list[str] = []
        self.begins: list[int] = []

    def read(self, key: str) -> bytes | None:
        self.documents.append(key)
        return super().read(key)

    def lines_after(self, key: str, cursor: int = 0) -> tuple[list[bytes], int]:
        self.begins.append(cursor)
        return super().lines_after(key, cursor)


def sealed(sealer: Sealer, control: Control, signer: FolderSigner) -> int:
    with sealer.sealing(control, signer, 30.0, timeout=0.0) as head:
        return head.number


def test_a_sealer_reads_once_what_does_not_change(files: FilesControl, signer: FolderSigner, tmp_path: Path) -> None:
    control, sealer = Counting(tmp_path), Sealer()
    assert sealed(sealer, control, signer) == 7
    control.documents, control.begins = [], []
    assert sealed(sealer, control, signer) == 7
    assert (control.documents, len(control.begins), min(control.begins) > 0) == (["kept_loops/support.json"], 3, True)
    seal(files, signer, 31.0)
    Journal(files).record("support", "ramp", "ben", "more", EndpointState(), 31.0)
    assert seal(files, signer, 32.0).number == 8
    approve(files, signer, "better")
    assert sealed(sealer, control, signer) == 9, "what others added is known, the approval that replaces one is new"
    assert faults(files, signer) == []


def test_an_approval_that_is_just_being_replaced_is_not_taken_for_the_new_one(files: FilesControl, signer: FolderSigner) -> None:
    key, sealer = f"releases/support/{VERSION}.approval.dsse.json", Sealer()
    sealed(sealer, files, signer)
    before = files.read(key) or b""
    files.write(f"releases/support/replaced/1-{VERSION}.approval.dsse.json", before)
    assert sealed(sealer, files, signer) == 7
    files.write(key, before.replace(b"payload", b"Payload"))
    assert sealed(sealer, files, signer) == 8


def test_a_sealer_begins_anew_when_the_chain_was_replaced_and_waits_for_nobody(files: FilesControl, signer: FolderSigner) -> None:
    sealer = Sealer()
    assert sealed(sealer, files, signer) == 7
    files.write(CHAIN, b"".join(line + b"\n" for line in files.lines(CHAIN)[:3]))
    assert sealed(sealer, files, signer) == 7
    assert faults(files, signer) == []
    with sealing(files, signer, 1.0), pytest.raises(Locked):
        sealed(sealer, files, signer)


def test_the_chain_is_the_same_in_postgresql(postgres: PostgresServer, signer: FolderSigner) -> None:
    control = PostgresControl(postgres.account())
    decide(control, signer)
    head = seal(control, signer, 10.0)
    assert (head.number, faults(control, signer, {"a backup": head})) == (7, [])
    sealer = Sealer()
    assert sealed(sealer, control, signer) == 7
    Journal(control).record("support", "ramp", "ben", "more", EndpointState(), 11.0)
    assert [sealed(sealer, control, signer), sealed(sealer, control, signer), faults(control, signer)] == [8, 8, []]
    control.delete(JOURNAL)
    assert len(faults(control, signer, {"a backup": head})) == 4


def test_a_stored_entry_is_read() -> None:
    entry = AuditEntry.parse((ROOT / "ftassets_tests" / "samples" / "v3" / "audit_entry.json").read_bytes())
    assert (entry.number, entry.record) == (1, "gateway/journal.jsonl:1")
