"""The records of who decided what, as they are now: journal, pauses, signed statements, loop files and keys, each with its digest."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import JOURNAL
from ftassets.backends.control.kept_loops import FOLDER as KEPT_LOOPS
from ftassets.backends.control.pauses import FOLDER as PAUSES
from ftassets.backends.control.releases import FOLDER as RELEASES
from ftassets.backends.control.releases import REPLACED
from ftassets.backends.signer.base import Signer
from ftassets.domain.canonical import digest_of_bytes
from ftassets.domain.release.statement import payload_of, read_statement
from ftassets.errors import InvalidInput


@dataclass(frozen=True)
class Record:
    """A record: where it is, the SHA-256 (hex) of its bytes, and what it says in words."""

    name: str
    digest: str
    says: str


@dataclass
class Seen:
    """What was read before: of each log the cursor behind it and its number of lines, and statements that stay as they are."""

    logs: dict[str, tuple[int, int]] = field(default_factory=dict)
    statements: set[str] = field(default_factory=set)


def records(control: Control, signer: Signer, seen: Seen) -> Iterator[Record]:
    """The records that were not seen before, of each kind the oldest first. What changes in its place is always among them.

    Raises OSError, CannotSign.
    """
    yield from _lines(control, JOURNAL, seen)
    for name in control.names(PAUSES):
        if name.endswith(".jsonl"):
            yield from _lines(control, f"{PAUSES}/{name}", seen)
    for loop in control.names(RELEASES):
        yield from _statements(control, loop, seen)
    for name in control.names(KEPT_LOOPS):
        if (content := control.read(f"{KEPT_LOOPS}/{name}")) is not None:
            yield Record(f"{KEPT_LOOPS}/{name}", digest_of_bytes(content), f"the loop file of {name.removesuffix('.json')} serves")
    for known in signer.known_keys():
        if known.unreadable is None:
            yield Record(f"keys/{known.key_id}", digest_of_bytes(known.key_id.encode()), f"key {known.key_id[:12]} is trusted")
            if known.revoked is not None:
                said = f"key {known.key_id[:12]} revoked: {known.revoked}"
                yield Record(f"keys/{known.key_id}/revoked", digest_of_bytes(known.revoked.encode()), said)


def _statements(control: Control, loop: str, seen: Seen) -> Iterator[Record]:
    """Statements that are new, replaced ones first, and those that replace another."""
    folder, again = f"{RELEASES}/{loop}", set[str]()
    for kept in control.names(f"{folder}/{REPLACED}"):
        key, name = f"{folder}/{REPLACED}/{kept}", kept.partition("-")[2]
        if key not in seen.statements and (content := control.read(key)) is not None:
            again.add(name)
            yield Record(f"{folder}/{name}", digest_of_bytes(content), _statement(name, loop, content))
            if content != control.read(f"{folder}/{name}"):  # else what replaces it is not written yet
                seen.statements.add(key)
    for name in control.names(folder):
        key = f"{folder}/{name}"
        if name.endswith(".dsse.json") and (name in again or key not in seen.statements) and (content := control.read(key)) is not None:
            yield Record(key, digest_of_bytes(content), _statement(name, loop, content))
            seen.statements.add(key)


def _lines(control: Control, key: str, seen: Seen) -> Iterator[Record]:
    cursor, before = seen.logs.get(key, (0, 0))
    lines, cursor = control.lines_after(key, cursor)
    for number, line in enumerate(lines, start=before + 1):
        said = "a line that cannot be read"
        with suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            said = f"{entry.get('loop', key.split('/')[-1].removesuffix('.jsonl'))}: {entry['action']} by {entry['by']}: {entry['reason']}"
        yield Record(f"{key}:{number}", digest_of_bytes(line), said)
    seen.logs[key] = (cursor, before + len(lines))


def _statement(name: str, loop: str, content: bytes) -> str:
    version, _, kind = name.removesuffix(".dsse.json").partition(".")
    said = f"{kind or 'release'} of version {version[:12]} of {loop}"
    with suppress(InvalidInput):
        predicate = read_statement(payload_of(content))[2]
        by, reason = predicate.get("name") or predicate.get("by"), predicate.get("reason")
        said += f" by {by}: {reason}" if by else ""
    return said
