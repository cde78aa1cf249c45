"""What versions answered, added up by day as the traffic log gets it, so that no row is read twice."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from ftassets.domain.formats import Stored
from ftassets.domain.traffic.retention import DAY

MINUTE = 60.0  # seconds
KEPT = 400 * DAY  # seconds for which the sums of a day are kept
SETTLED = 120.0  # seconds after which no row of a minute comes any more: a writer waits for others at most 30 s
LATE = 600.0  # seconds between an answer and its row in the log; more lie between those of an import


@dataclass(frozen=True)
class ServedMinute:
    """Requests that a version answered and whose rows came within one minute, numbered from the epoch.

    `failed` got no answer. `uncounted` answers came without tokens. `engine_ms` is the sum of all their times.
    """

    version: str
    minute: int
    answers: int
    failed: int
    uncounted: int
    tokens_in: int
    tokens_out: int
    engine_ms: float


class ServedDay(BaseModel):
    """The same of a day (UTC). `busy_minutes` had requests, `peak_tokens` are the answer tokens of the busiest of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    answers: int = 0
    failed: int = 0
    uncounted: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    engine_seconds: float = 0.0
    busy_minutes: int = 0
    peak_tokens: int = 0

    def __add__(self, other: "ServedDay") -> "ServedDay":
        added = {name: getattr(self, name) + getattr(other, name) for name in ServedDay.model_fields}
        return ServedDay(**{**added, "peak_tokens": max(self.peak_tokens, other.peak_tokens)})


ALL = ""  # in place of a version: all of them together, of which the busiest minute is no sum


class Served(Stored):
    """Days by their first second (epoch), each with its versions and `ALL`. Rows that the log got before `until` are in them.

    `counted` is the end of the newest minute with a row, where the next count begins: a clock that is ahead skips nothing then.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "served"

    until: float = 0.0
    counted: float = 0.0
    days: dict[int, dict[str, ServedDay]] = {}

    def with_minutes(self, minutes: Iterable[ServedMinute], until: float) -> "Served":
        """With all rows from `self.counted` on that came before `until`; days that are too old are left out."""
        days = {day: dict(versions) for day, versions in self.days.items() if day >= until - KEPT}
        together: dict[int, ServedDay] = {}
        for each in minutes:
            found = ServedDay(
                answers=each.answers,
                failed=each.failed,
                uncounted=each.uncounted,
                tokens_in=each.tokens_in,
                tokens_out=each.tokens_out,
                engine_seconds=each.engine_ms / 1000,
                busy_minutes=1,
                peak_tokens=each.tokens_out,
            )
            _add(days, each.minute, each.version, found)
            known = together.get(each.minute)
            if known is None:
                together[each.minute] = found
            else:
                both = known + found
                together[each.minute] = both.model_copy(update={"busy_minutes": 1, "peak_tokens": both.tokens_out})
        for minute, found in together.items():
            _add(days, minute, ALL, found)
        counted = max([self.counted, *((minute + 1) * MINUTE for minute in together)])
        return Served(until=until, counted=counted, days=days)

    def since(self, at: float) -> dict[str, ServedDay]:
        """The sums by version, and of `ALL`, of the days from the one of this time on."""
        found: dict[str, ServedDay] = {}
        for day, versions in self.days.items():
            if day + DAY > at:
                for version, sums in versions.items():
                    found[version] = found.get(version, ServedDay()) + sums
        return found


def _add(days: dict[int, dict[str, ServedDay]], minute: int, version: str, found: ServedDay) -> None:
    day = days.setdefault(int(minute * MINUTE // DAY * DAY), {})
    day[version] = day.get(version, ServedDay()) + found
