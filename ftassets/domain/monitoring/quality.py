"""Live quality of a version day by day, and whether a measure has dropped and stayed down."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import dropwhile, pairwise
from math import sqrt
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import largest_drop, level, level_bounds, level_variance
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.lasting_drop import WEEK, DayShare, Turn, limit_of, turns
from ftassets.wording import amount, span

NOT_DISLIKED, NOT_CORRECTED, WITHOUT_ERROR, WELL_FORMED, JUDGED = "not_disliked", "not_corrected", "without_error", "well_formed", "judged"
MEASURES = (NOT_DISLIKED, NOT_CORRECTED, WITHOUT_ERROR, WELL_FORMED, JUDGED)
BY_FEEDBACK = (NOT_DISLIKED, NOT_CORRECTED)
CURABLE = frozenset({NOT_DISLIKED, NOT_CORRECTED, WELL_FORMED, JUDGED})  # by training; what the server fails to answer is not
FALSE_TICKETS = 0.3  # expected in a year of a loop whose quality is steady: more than one comes in less than 4 % of years
FALSE_TRIGGERS = 0.02  # share of years of a loop in which steady quality asks for a retrain
LATE = 14  # days that are read again: for what an import brings later
KEPT = 400  # days of a version that are compared; what has lasted longer is its usual level
RECENT = 14  # days that must exclude a drop for PASS
_EACH = 0.975  # confidence of each end of a 95 % interval
_AS_LIKELY = 3.84  # of twice the log-likelihood: first days of a drop that differ by less from the best one are as likely (95 %)


class Day(BaseModel):
    """A day (ISO date in the loop's time zone) with the users measured on it, each of whom counts once, and the sum of their shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str
    users: float
    good: float


class Change(BaseModel):
    """The day on which a measure was found to have dropped, or to be back."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    day: str
    down: bool


class Series(BaseModel):
    """One measure of one version: its days, oldest first, and what was found, for the alert and for the retrain.

    Of what users say, feedback on all days counts up to one `age` of the answer, in seconds.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: tuple[Day, ...] = ()
    age: float | None = None
    alerts: tuple[Change, ...] = ()
    triggers: tuple[Change, ...] = ()

    @property
    def dropped(self) -> bool:
        """Whether the alert's newest change is a drop."""
        return bool(self.alerts) and self.alerts[-1].down

    @property
    def asks_for_retrain(self) -> bool:
        """Whether the trigger's newest change is a drop."""
        return bool(self.triggers) and self.triggers[-1].down

    def dropped_since(self, earlier: "Series") -> bool:
        """Whether a drop is found that was not before, for the alert or for the trigger."""
        return (self.dropped and not earlier.dropped) or (self.asks_for_retrain and not earlier.asks_for_retrain)

    def with_days(self, read: Iterable[Day]) -> "Series":
        """The series with days that were read now, in place of those of the same date; a day without anybody is left out."""
        days = {day.day: day for day in self.days} | {day.day: day for day in read}
        kept = [days[name] for name in sorted(days) if days[name].users > 0]
        return self.model_copy(update={"days": tuple(kept[-KEPT:])})

    def at_age(self, age: float) -> "Series":
        """The series for feedback up to an age of the answer (seconds): days that counted another one are not compared with it."""
        return self if age == self.age else self.model_copy(update={"age": age, "days": ()})


class QualityPoint(BaseModel):
    """One measure in one report: its share in 0..1, higher is better, and users that were measured, each counted once a day.

    `value` and `n` are of the days since the change where there is one, else of the newest `RECENT` days; `baseline` and `baseline_n` of
    the days before. None while there are no days before. `low` and `high` are the 95 % interval, with the effects of days in it, and of
    the first day of the change, which is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    low: float
    high: float
    n: float
    baseline: float | None
    baseline_n: float
    since: str | None = None


@dataclass(frozen=True)
class LocalDay:
    """A day of the calendar: its ISO date, and when it begins and ends (epoch seconds)."""

    name: str
    begin: float
    end: float


def local_days(begin: float, end: float, timezone: str) -> list[LocalDay]:
    """The days of a time zone that have a moment from `begin` until `end` (epoch seconds) in them, oldest first, cut off at `end`."""
    zone = ZoneInfo(timezone)
    first, last = (datetime.fromtimestamp(at, zone).date() for at in (begin, end))
    dates = [first + timedelta(days=number) for number in range((last - first).days + 2)]
    midnights = [datetime.combine(date, time(), zone).timestamp() for date in dates]
    found = zip(dates, pairwise(midnights), strict=False)
    return [LocalDay(f"{date}", since, min(until, end)) for date, (since, until) in found if since < end]


def follow(
    name: str, series: Series, alert_drop: float, trigger_drop: float | None, measures: int = len(MEASURES)
) -> tuple[Series, QualityPoint, Finding]:
    """A series with what its days (at least one) show, its newest figures, and the finding.

    So many `measures` of the loop have data: they share the false alarms of a year.

    FAIL from the day on which a drop is proved until it is proved that the level is back: see `lasting_drop`. PASS when the newest days
    exclude a drop of `alert_drop`. Else NOT ENOUGH DATA: the measure is not measured well enough to say either.
    """
    alerts = _changes(series.days, series.alerts, alert_drop, limit_of(FALSE_TICKETS / measures))
    triggers: tuple[Change, ...] = ()
    if trigger_drop is not None and name in CURABLE:
        triggers = _changes(series.days, series.triggers, trigger_drop, limit_of(FALSE_TRIGGERS / min(measures, len(CURABLE))))
    series = series.model_copy(update={"alerts": alerts, "triggers": triggers})
    point = _point(series)
    return series, point, _finding(name, series, point, alert_drop)


def fallen_most(measures: Mapping[str, QualityPoint], names: Collection[str]) -> str | None:
    """Of the measures with these names the one that is farthest below its baseline; None if none has one."""
    falls = {name: m.baseline - m.value for name, m in measures.items() if name in names and m.baseline is not None}
    return max(falls, key=lambda name: falls[name]) if falls else None


def _changes(days: Sequence[Day], known: Sequence[Change], drop: float, limit: float) -> tuple[Change, ...]:
    # what has lasted longer than the days that are kept is the usual level
    known = tuple(dropwhile(lambda change: change.day < days[0].day or not change.down, known))
    told = [Turn(sum(day.day <= change.day for day in days), change.down) for change in known]
    found = turns(_shares(days), drop, limit, told)
    return (*known, *(Change(day=days[turn.days - 1].day, down=turn.down) for turn in found[len(told) :]))


def _point(series: Series) -> QualityPoint:
    """The newest level and the one before."""
    days, since = series.days, None
    place = max(len(days) - RECENT, min(WEEK, len(days) - 1))
    places = [place]
    if series.dropped or series.asks_for_retrain:
        change = (series.alerts if series.dropped else series.triggers)[-1]
        place, *_ = places = _began(days, sum(day.day <= change.day for day in days))
        since = days[place].day
    before, now = days[:place], days[place:]
    low, high = zip(*(level_bounds(_shares(days[each:]), _EACH) for each in places), strict=True)
    return QualityPoint(
        value=level(_shares(now)), low=min(low), high=max(high), n=sum(day.users for day in now),
        baseline=level(_shares(before)) if before else None, baseline_n=sum(day.users for day in before), since=since,
    )  # fmt: skip


def _began(days: Sequence[Day], proved: int) -> list[int]:
    """Place of the first day of a drop that was proved after so many days: where the means before and after differ most for chance.

    After it the places that are about as likely.
    """

    def strength(place: int) -> float:
        before, after = _shares(days[:place]), _shares(days[place:proved])
        return (level(before) - level(after)) / sqrt(level_variance(before) + level_variance(after))

    found = {place: strength(place) for place in range(min(WEEK, proved - 1) or 1, max(proved, 2))}
    best = max(found, key=found.__getitem__)
    return [best, *(place for place, each in found.items() if each > 0 and each**2 > found[best] ** 2 - _AS_LIKELY and place != best)]


def _finding(name: str, series: Series, point: QualityPoint, drop: float) -> Finding:
    days, users = len(series.days), amount(round(point.n), "user")
    found = f"{name} {point.value:.3f} ({point.low:.3f} to {point.high:.3f}) of {users} a day summed"
    if series.age is not None:
        found += f" by feedback up to {span(series.age)} after the answer"
    if point.baseline is None:
        return Finding(Verdict.NOT_ENOUGH_DATA, f"{found}: not compared yet, {days} of the first {WEEK} days with data are measured")
    if series.dropped:
        return Finding(Verdict.FAIL, f"{found} since {point.since}, {point.baseline:.3f} before: it dropped and has not come back")
    now, before = series.days[-RECENT:], series.days[:-RECENT] or series.days[:WEEK]
    text = f"{found}, {point.baseline:.3f} before; no drop is proved"
    if days > WEEK and largest_drop(_shares(before), _shares(now), 0.95) < drop:
        return Finding(Verdict.PASS, f"{text}, and one of {drop:g} is excluded")
    return Finding(Verdict.NOT_ENOUGH_DATA, f"{text}, nor is one of {drop:g} excluded by so few")


def _shares(days: Iterable[Day]) -> list[DayShare]:
    return [DayShare(day.users, day.good) for day in days]
