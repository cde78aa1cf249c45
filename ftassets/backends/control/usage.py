"""What the runs of a loop used: a line for each node that is over, in one log a month; a document for each that is at work.

The document is kept up to date, so it also has what a process that was killed had used.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from ftassets.backends.control.base import Control
from ftassets.domain.canonical import canonical_json
from ftassets.domain.spending.usage import UsageEntry
from ftassets.errors import StateDamaged, in_one_line

FOLDER = "usage"
_AT_WORK, _LOG = "at_work", ".jsonl"
_OVER = 3600.0  # seconds after its last measurement from which an entry of a killed process is moved into the log


def write_at_work(control: Control, entry: UsageEntry) -> None:
    """Keep what a node at work used so far. Raises OSError."""
    control.write(_key(entry.loop, f"{_AT_WORK}/{entry.id}.json"), canonical_json(entry.document()))


def close(control: Control, entry: UsageEntry) -> None:
    """Record a node that is over. Raises OSError; what was kept of it still counts then."""
    control.append(_key(entry.loop, f"{_month(entry.at)}{_LOG}"), canonical_json(entry.document()))
    control.delete(_key(entry.loop, f"{_AT_WORK}/{entry.id}.json"))


def read_usage(control: Control, loop: str, since: float, until: float) -> list[UsageEntry]:
    """Entries that began at since <= at < until (epoch seconds), oldest first; only the months of that time are read.

    Raises StateDamaged: what cannot be read may have cost something. Raises OSError.
    """
    found = {entry.id: entry for entry in _at_work(control, loop)}
    logs = (name for name in control.names(f"{FOLDER}/{loop}") if name.endswith(_LOG))
    for key in (_key(loop, name) for name in logs if _month(since) <= name.removesuffix(_LOG) <= _month(until)):
        for number, line in enumerate(control.lines(key), start=1):
            entry = _parsed(line, control, key, f", line {number}")
            found[entry.id] = entry
    return sorted((entry for entry in found.values() if since <= entry.at < until), key=lambda entry: (entry.at, entry.id))


def tidy(control: Control, loop: str, now: float) -> None:
    """Move what processes that were killed had used into the log of its month, so that few documents are left. Raises as `read_usage`."""
    for entry in _at_work(control, loop):
        if now - entry.until > _OVER:
            close(control, entry)


def _at_work(control: Control, loop: str) -> Iterator[UsageEntry]:
    for name in control.names(_key(loop, _AT_WORK)):
        key = _key(loop, f"{_AT_WORK}/{name}")
        if (content := control.read(key)) is not None:  # it may be over meanwhile
            yield _parsed(content, control, key)


def _parsed(content: bytes, control: Control, key: str, line: str = "") -> UsageEntry:
    try:
        return UsageEntry.parse(content)
    except ValueError as error:  # NewerFormat too
        where = f"{control.uri(key)}{line}"
        raise StateDamaged(f"{where}: what a run used cannot be read ({in_one_line(error)}): restore it, or remove it") from error


def _month(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m}"


def _key(loop: str, name: str) -> str:
    return f"{FOLDER}/{loop}/{name}"
