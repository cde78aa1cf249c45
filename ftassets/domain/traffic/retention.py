"""How long requests stay in the traffic log: which days are deleted, and which of their rows stay."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

DAY = 86_400.0  # seconds; days are those of UTC
GB = 1e9  # bytes


@dataclass(frozen=True)
class DayOfTraffic:
    """A loop's requests of one day: days since 1970 (what is older counts as day 0), rows, and their size in bytes, estimated."""

    day: int
    rows: int
    bytes: float

    @property
    def begin(self) -> float:
        """Epoch seconds; day 0 has no begin."""
        return self.day * DAY if self.day else -math.inf

    @property
    def end(self) -> float:
        """Epoch seconds, exclusive."""
        return (self.day + 1) * DAY


@dataclass(frozen=True)
class Cut:
    """Requests from before that time (epoch seconds, the begin of a day) are deleted. The reason names the setting that decided."""

    before: float
    reason: str


def day_of(at: float) -> int:
    """The day of a time in epoch seconds, as `DayOfTraffic` counts them."""
    return max(0, math.floor(at / DAY))


def cut(days: Sequence[DayOfTraffic], now: float, needed_since: float, keep: float | None, max_bytes: float | None) -> Cut:
    """Where to cut a log of these days, oldest first, so that it has nothing older than `keep` seconds and at most `max_bytes`.

    Whole days are deleted: a day as soon as all of it is older. Nothing since `needed_since` is deleted, which may leave more bytes than
    allowed.
    """
    found = Cut(-math.inf, "nothing is old enough")
    if keep is not None:
        found = Cut(day_of(now - keep) * DAY, "older than traffic.keep")
    size = 0.0
    for each in reversed(days):
        size += each.bytes
        if max_bytes is not None and size > max_bytes:
            if each.end > found.before:
                found = Cut(each.end, "above traffic.max_gb")
            break
    needed = day_of(needed_since) * DAY
    return Cut(needed, f"{found.reason}, up to what reports and a running rollout still read") if found.before > needed else found
