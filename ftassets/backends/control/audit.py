"""The audit chain: who decided what, each entry with the digest of the one before, so that nothing can be taken out unseen.

The records themselves stay where they are, see `audit_records`. The chain has the digest of each.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict

from ftassets.backends.control.audit_records import Seen, records
from ftassets.backends.control.base import Control
from ftassets.backends.control.kept_loops import FOLDER as KEPT_LOOPS
from ftassets.backends.control.releases import FOLDER as RELEASES
from ftassets.backends.control.releases import Releases
from ftassets.backends.signer.base import Signer
from ftassets.domain.canonical import canonical_json, digest_of_bytes
from ftassets.domain.formats import Stored
from ftassets.domain.release.statement import read_statement
from ftassets.errors import InvalidInput

FOLDER = "audit"
CHAIN = f"{FOLDER}/chain.jsonl"
_LOCK = f"{FOLDER}/chain"
_FIRST = "0" * 64  # stands for the entry before the first one


class AuditEntry(Stored):
    """One record as it was when it came into the chain, `at` in epoch seconds: where it is, its digest, and what it says in words.

    `before` is the SHA-256 (hex) of the line of the entry before. `number` counts from 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "audit_entry"

    number: int
    at: float
    record: str
    digest: str
    says: str
    before: str


@dataclass(frozen=True)
class Head:
    """The end of the chain: number of its last entry, and the SHA-256 of its line. Kept elsewhere it shows that the chain was cut."""

    number: int
    digest: str

    def document(self) -> dict[str, int | str]:
        """What a release says of it, under `audit`."""
        return {"entries": self.number, "head": self.digest}


class Sealer:
    """Adds the records that the chain does not have. What was read once is not read again, so that a sensor may do it at each tick."""

    _head: Head
    _cursor: int
    _seen: Seen
    _known: set[tuple[str, str]]

    def __init__(self) -> None:
        self._begin()

    @contextmanager
    def sealing(self, control: Control, signer: Signer, now: float, timeout: float | None = None) -> Iterator[Head]:
        """The end of the chain once all records are in it, at `now` (epoch seconds). Others add to it after the block only.

        Waits for others for `timeout` seconds, without one as long as it takes. Raises Locked, OSError, CannotSign.
        """
        with control.lock(_LOCK, timeout):
            self._follow(control)
            for record in records(control, signer, self._seen):
                if (record.name, record.digest) not in self._known:
                    before, number = self._head.digest, self._head.number + 1
                    entry = AuditEntry(number=number, at=now, record=record.name, digest=record.digest, says=record.says, before=before)
                    line = canonical_json(entry.document())
                    self._cursor = control.append(CHAIN, line)
                    self._take([line])
            yield self._head

    def _begin(self) -> None:
        self._head, self._cursor, self._seen, self._known = Head(0, _FIRST), 0, Seen(), set()

    def _follow(self, control: Control) -> None:
        """Take over what others added; all of it anew if the chain was cut, or replaced by a restore."""
        self._read(control)
        ends = control.ends(CHAIN)
        if (_FIRST if ends is None else digest_of_bytes(ends[1])) != self._head.digest:
            self._begin()
            self._read(control)

    def _read(self, control: Control) -> None:
        lines, self._cursor = control.lines_after(CHAIN, self._cursor)
        self._take(lines)

    def _take(self, lines: list[bytes]) -> None:
        self._known |= {(entry.record, entry.digest) for entry in map(_entry, lines) if entry is not None}
        self._head = Head(self._head.number + len(lines), digest_of_bytes(lines[-1]) if lines else self._head.digest)


def sealing(control: Control, signer: Signer, now: float) -> AbstractContextManager[Head]:
    """The end of the chain with all records in it, at `now` (epoch seconds); see `Sealer.sealing`."""
    return Sealer().sealing(control, signer, now)


def seal(control: Control, signer: Signer, now: float) -> Head:
    """Add all records that the chain does not have yet, at `now` (epoch seconds); the chain's end. Raises OSError, CannotSign."""
    with sealing(control, signer, now) as head:
        return head


def entries(control: Control) -> list[AuditEntry]:
    """The entries that can be read, oldest first. Raises OSError."""
    return [entry for entry in map(_entry, control.lines(CHAIN)) if entry is not None]


def faults(control: Control, signer: Signer, anchors: Mapping[str, Head] | None = None) -> list[str]:
    """What was changed, removed or moved, in the chain or of the records in it, a sentence each; empty means nothing was.

    `anchors` are earlier ends of the chain, which it must still have, by what names them; each stored release names one.
    Raises OSError, CannotSign.
    """
    lines, found = control.lines(CHAIN), list[str]()
    before = _FIRST
    for place, line in enumerate(lines, start=1):
        entry = _entry(line)
        if entry is None or entry.number != place:
            what = "cannot be read" if entry is None else f"has the number {entry.number}"
            found.append(f"entry {place} of the chain {what}: one was changed, removed or moved here")
        elif entry.before != before:
            found.append(f"entry {place} of the chain ({entry.says}) does not follow entry {place - 1}, which was changed or replaced")
        before = digest_of_bytes(line)
    for name, anchor in (*(anchors or {}).items(), *_named_by_releases(control, signer)):
        if anchor.number and (anchor.number > len(lines) or digest_of_bytes(lines[anchor.number - 1]) != anchor.digest):
            found.append(f"{name} names an entry {anchor.number} that the chain does not have now: its end was cut off or written anew")
    now: dict[str, set[str]] = {}
    for record in records(control, signer, Seen()):
        now.setdefault(record.name, set()).add(record.digest)
    for entry in filter(None, map(_entry, lines)):
        if entry.record.startswith(f"{KEPT_LOOPS}/"):
            continue  # a loop file changes, and only its newest state is kept
        if entry.record not in now:
            found.append(f"{entry.record} is gone, which was there when entry {entry.number} was made: {entry.says}")
        elif entry.digest not in now[entry.record]:
            found.append(f"{entry.record} is not what it was when entry {entry.number} was made: {entry.says}")
    return found


def head_of(predicate: Mapping[str, Any]) -> Head | None:
    """The end of the chain when a release was signed, which its predicate has; None if an earlier release of ftassets signed it."""
    try:
        return Head(int(predicate["audit"]["entries"]), str(predicate["audit"]["head"]))
    except (KeyError, TypeError, ValueError):
        return None


def _named_by_releases(control: Control, signer: Signer) -> Iterator[tuple[str, Head]]:
    releases = Releases(control, signer)
    for loop in control.names(RELEASES):
        for version in releases.versions(loop):
            for signed in releases.statements(loop, version):
                with suppress(InvalidInput):
                    if (head := head_of(read_statement(signed.payload)[2])) is not None:
                        yield f"the release of version {version[:12]} of {loop}", head


def _entry(line: bytes) -> AuditEntry | None:
    try:
        return AuditEntry.parse(line)
    except ValueError:
        return None
