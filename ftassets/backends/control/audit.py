"""The audit chain: who decided what, each entry with the digest of the one before, so that nothing can be taken out unseen.

The records themselves are where they were: journal, pauses, signed statements, keys, loop files. The chain has the digest of each.
"""

import hashlib
import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from pydantic import ConfigDict

from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import JOURNAL
from ftassets.backends.control.kept_loops import FOLDER as KEPT_LOOPS
from ftassets.backends.control.pauses import FOLDER as PAUSES
from ftassets.backends.control.releases import FOLDER as RELEASES
from ftassets.backends.control.releases import REPLACED
from ftassets.backends.signer.base import Signer
from ftassets.domain.canonical import canonical_json
from ftassets.domain.formats import Stored

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


@dataclass(frozen=True)
class _Record:
    name: str
    digest: str
    says: str


def seal(control: Control, signer: Signer, now: float) -> Head:
    """Add all records that the chain does not have yet, at `now` (epoch seconds); the chain's end. Raises OSError, CannotSign."""
    with control.lock(_LOCK):
        lines = control.lines(CHAIN)
        known = {(entry.record, entry.digest) for entry in map(_entry, lines) if entry is not None}
        before, number = _head(lines).digest, len(lines)
        for record in _records(control, signer):
            if (record.name, record.digest) not in known:
                number += 1
                entry = AuditEntry(number=number, at=now, record=record.name, digest=record.digest, says=record.says, before=before)
                line = canonical_json(entry.document())
                control.append(CHAIN, line)
                before = hashlib.sha256(line).hexdigest()
        return Head(number, before)


def entries(control: Control) -> list[AuditEntry]:
    """The entries that can be read, oldest first. Raises OSError."""
    return [entry for entry in map(_entry, control.lines(CHAIN)) if entry is not None]


def faults(control: Control, signer: Signer, anchor: Head | None = None) -> list[str]:
    """What was changed, removed or moved, in the chain or of the records in it, a sentence each; empty means nothing was.

    `anchor` is an earlier end of the chain, which it must still have. Raises OSError, CannotSign.
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
        before = hashlib.sha256(line).hexdigest()
    if anchor is not None and anchor.number and (anchor.number > len(lines) or _head(lines[: anchor.number]).digest != anchor.digest):
        found.append(f"the chain had an entry {anchor.number} that it does not have now: its end was cut off or written anew")
    now: dict[str, set[str]] = {}
    for record in _records(control, signer):
        now.setdefault(record.name, set()).add(record.digest)
    for entry in filter(None, map(_entry, lines)):
        if entry.record.startswith(f"{KEPT_LOOPS}/"):
            continue  # a loop file changes, and only its newest state is kept
        if entry.record not in now:
            found.append(f"{entry.record} is gone, which was there when entry {entry.number} was made: {entry.says}")
        elif entry.digest not in now[entry.record]:
            found.append(f"{entry.record} is not what it was when entry {entry.number} was made: {entry.says}")
    return found


def _records(control: Control, signer: Signer) -> Iterator[_Record]:
    """All records as they are now, of each kind the oldest first."""
    yield from _lines(control, JOURNAL)
    for name in control.names(PAUSES):
        if name.endswith(".jsonl"):
            yield from _lines(control, f"{PAUSES}/{name}")
    for loop in control.names(RELEASES):
        replaced = [
            (name.partition("-")[2], f"{RELEASES}/{loop}/{REPLACED}/{name}") for name in control.names(f"{RELEASES}/{loop}/{REPLACED}")
        ]
        current = [(name, f"{RELEASES}/{loop}/{name}") for name in control.names(f"{RELEASES}/{loop}") if name.endswith(".dsse.json")]
        for name, key in (*replaced, *current):
            if (content := control.read(key)) is not None:
                yield _Record(f"{RELEASES}/{loop}/{name}", _digest(content), _statement(name, loop, content))
    for name in control.names(KEPT_LOOPS):
        if (content := control.read(f"{KEPT_LOOPS}/{name}")) is not None:
            yield _Record(f"{KEPT_LOOPS}/{name}", _digest(content), f"the loop file of {name.removesuffix('.json')} serves")
    for known in signer.known_keys():
        if known.unreadable is None:
            yield _Record(f"keys/{known.key_id}", _digest(known.key_id.encode()), f"key {known.key_id[:12]} is trusted")
            if known.revoked is not None:
                yield _Record(
                    f"keys/{known.key_id}/revoked", _digest(known.revoked.encode()), f"key {known.key_id[:12]} revoked: {known.revoked}"
                )


def _lines(control: Control, key: str) -> Iterator[_Record]:
    for number, line in enumerate(control.lines(key), start=1):
        said = "a line that cannot be read"
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            said = f"{entry.get('loop', key.split('/')[-1].removesuffix('.jsonl'))}: {entry['action']} by {entry['by']}: {entry['reason']}"
        yield _Record(f"{key}:{number}", _digest(line), said)


def _statement(name: str, loop: str, content: bytes) -> str:
    version, _, kind = name.removesuffix(".dsse.json").partition(".")
    said = f"{kind or 'release'} of version {version[:12]} of {loop}"
    with suppress(ValueError, KeyError, TypeError):
        predicate = json.loads(b64decode(json.loads(content)["payload"]))["predicate"]
        by, reason = predicate.get("name") or predicate.get("by"), predicate.get("reason")
        said += f" by {by}: {reason}" if by else ""
    return said


def _head(lines: list[bytes]) -> Head:
    return Head(len(lines), _digest(lines[-1]) if lines else _FIRST)


def _entry(line: bytes) -> AuditEntry | None:
    try:
        return AuditEntry.parse(line)
    except ValueError:
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
