"""What a loop's versions answered, added up by day in one small document, which grows with what is new in the traffic log."""

import time
from math import inf

from ftassets.backends.control.base import Control
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.domain.canonical import canonical_json
from ftassets.domain.spending.pricing import HOUR
from ftassets.domain.spending.served import KEPT, MINUTE, SETTLED, Served
from ftassets.domain.traffic.retention import DAY
from ftassets.errors import StateDamaged, in_one_line

FOLDER = "usage"
_LONG = 0.1  # seconds that a count of some hours takes: the next one is of one hour


def count_served(control: Control, log: TrafficLog, loop: str, now: float) -> Served:
    """Add what came since it was last called, up to a minute or two before `now` (epoch seconds), and return all.

    Raises StateDamaged, OSError, and what the log raises; nothing is added then.
    """
    return count_for(control, log, loop, now, inf)[0]


def count_for(control: Control, log: TrafficLog, loop: str, now: float, seconds: float) -> tuple[Served, float | None]:
    """The same for so many seconds at most, and from when on (epoch seconds) rows that came are not counted yet; None if all are.

    What was counted is kept: the next call begins there.
    """
    deadline = time.monotonic() + seconds
    key, found = f"{FOLDER}/{loop}/served.json", Served()
    behind: float | None = None

    def add(content: bytes | None) -> bytes | None:
        nonlocal found, behind
        behind = None  # this may be called again
        try:
            found = Served() if content is None else Served.parse(content)
        except ValueError as error:
            raise StateDamaged(
                f"{control.uri(key)} cannot be read ({in_one_line(error)}): restore it, or remove it to count anew what the log still has"
            ) from error
        until = (now - SETTLED) // MINUTE * MINUTE
        begin = found.counted or log.first_time(loop) or until
        begin, step = max(begin // MINUTE * MINUTE, until - KEPT), DAY if seconds == inf else HOUR
        while begin < until:
            started = time.monotonic()
            if started >= deadline:
                behind = begin
                break
            end = min(begin + step, until)
            found = found.with_minutes(log.served(loop, begin, end), end)
            begin = end
            step = HOUR if seconds < inf and time.monotonic() - started > _LONG else min(2 * step, DAY)
        return canonical_json(found.document())

    control.update(key, add)
    return found, behind
