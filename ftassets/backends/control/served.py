"""What a loop's versions answered, added up by day in one small document, which grows with what is new in the traffic log."""

from ftassets.backends.control.base import Control
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.domain.canonical import canonical_json
from ftassets.domain.spending.served import KEPT, MINUTE, SETTLED, Served
from ftassets.domain.traffic.retention import DAY
from ftassets.errors import StateDamaged, in_one_line

FOLDER = "usage"


def count_served(control: Control, log: TrafficLog, loop: str, now: float) -> Served:
    """Add what came since it was last called, up to a minute or two before `now` (epoch seconds), and return all.

    Raises StateDamaged, OSError, and what the log raises; nothing is added then.
    """
    key, found = f"{FOLDER}/{loop}/served.json", Served()

    def add(content: bytes | None) -> bytes | None:
        nonlocal found
        try:
            found = Served() if content is None else Served.parse(content)
        except ValueError as error:
            raise StateDamaged(
                f"{control.uri(key)} cannot be read ({in_one_line(error)}): restore it, or remove it to count anew what the log still has"
            ) from error
        until = (now - SETTLED) // MINUTE * MINUTE
        begin = found.counted or log.first_time(loop) or until
        begin = max(begin // MINUTE * MINUTE, until - KEPT)
        while begin < until:
            end = min(begin + DAY, until)
            found = found.with_minutes(log.served(loop, begin, end), end)
            begin = end
        return canonical_json(found.document())

    control.update(key, add)
    return found
