"""Loops that a person holds: neither retrains nor rollouts start until the pause ends. Each pause and its end stay on record."""

import logging

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.pauses import PauseEntry

log = logging.getLogger(__name__)
FOLDER = "pauses"


def pause(control: Control, loop: str, reason: str, by: str, at: float) -> None:
    """Hold a loop from `at` (epoch seconds) on; another reason replaces the one before. Raises OSError."""
    control.write(_key(loop), reason.encode())
    _record(control, loop, PauseEntry(at=at, action="pause", by=by, reason=reason))


def resume(control: Control, loop: str, reason: str, by: str, at: float) -> bool:
    """End a pause; whether there was one. Without one nothing is recorded. Raises OSError."""
    if control.read(_key(loop)) is None:
        return False
    control.delete(_key(loop))
    _record(control, loop, PauseEntry(at=at, action="resume", by=by, reason=reason))
    return True


def pause_reason(control: Control, loop: str) -> str | None:
    """Why a loop is paused, None when it is not."""
    content = control.read(_key(loop))
    return None if content is None else content.decode(errors="replace").strip()


def pause_record(control: Control, loop: str) -> list[PauseEntry]:
    """Who paused and resumed the loop, oldest first; a line that cannot be read is left out, and logged. Raises OSError."""
    found = []
    for line in control.lines(_record_key(loop)):
        try:
            found.append(PauseEntry.parse(line))
        except ValueError as error:
            log.warning("an entry of %s cannot be read: %s", control.uri(_record_key(loop)), error)
    return found


def _record(control: Control, loop: str, entry: PauseEntry) -> None:
    control.append(_record_key(loop), canonical_json(entry.document()))


def _key(loop: str) -> str:
    return f"{FOLDER}/{loop}.txt"


def _record_key(loop: str) -> str:
    return f"{FOLDER}/{loop}.jsonl"
