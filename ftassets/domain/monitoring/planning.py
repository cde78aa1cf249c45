"""What a loop's monitors notice with the volume it has, and how often they alert without a cause, by their own decisions."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import Drift, LoopConfig
from ftassets.domain.drift import Reference, alarm_rate, power, reports_until
from ftassets.domain.drift.alarms import WindowVerdict, alarms_in_a_row
from ftassets.domain.drift.budget import WINDOWS_PART, false_alarms_expected
from ftassets.domain.drift.calibration import SIZES
from ftassets.domain.drift.comparison import DriftVerdict
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.golden import FLOOR_RISK, REGRESSION_RISK, floor_p, floor_risk, regression, regression_risk
from ftassets.domain.monitoring.lasting_drop import WEEK, Watch, likelihoods, limit_of
from ftassets.domain.monitoring.quality import FALSE_TICKETS
from ftassets.wording import span

Counts = NDArray[np.int64]

DROPS = (0.03, 0.05, 0.10)  # that a plan says the time for
QUARTER, YEAR = 91, 365  # days
BEFORE, AFTER = 42, 90  # days before a drop in the simulation, and days in which it has to be noticed
STEADY, DROPPED = 60, 40  # simulated loops
DAY_SD = 0.02  # standard deviation of a day's level, taken as usual
MOST_USERS = 1000  # that are simulated: with more, the effects of days decide
VARYING = 20  # users a day below which their number varies in the simulation
SEEN = 0.5  # chance of an alert in a report from which a drop counts as noticed by it
_HOUR = 3600.0


@dataclass(frozen=True)
class Noticed:
    """A lasting drop of so much (0..1), and median days until it is noticed; None if most are not within `AFTER` days."""

    drop: float
    days: float | None


@dataclass(frozen=True)
class MonitorPlan:
    """What one monitor can do: what it counts, how many of that in a day, false alerts in a quarter, and when drops are noticed.

    `at_most` says that the false alerts are a bound that is proved, not a simulated mean. Nothing is `noticed` where it is not known.
    """

    monitor: str
    counts: str
    per_day: float
    false_alerts_a_quarter: float
    at_most: bool
    noticed: tuple[Noticed, ...]
    sentence: str


def quality_plan(name: str, users: float, level: float, drop: float, measures: int, age: float = 0.0, seed: int = 0) -> MonitorPlan:
    """One measure of live quality with so many users a day at a level (0..1), `measures` of which share the false alerts.

    Simulated days have effects of `DAY_SD`; `drop` is `monitors.quality_drop`. Days count once they are `age` seconds old.
    """
    few = f"{users:.2g} users a day are too few to follow"
    enough = f"a drop of less than {drop / 2:.1%} is not noticed, however long it lasts"
    if age:
        enough += f"; feedback counts up to {span(age)} after an answer, and a day once its answers are that old"
    if _with_data(users) * (BEFORE + AFTER) <= WEEK:
        return MonitorPlan(name, "users", users, 0.0, False, tuple(Noticed(each, None) for each in DROPS), few)
    false, noticed = _simulated(users, min(max(level, 0.005), 0.995), drop, limit_of(FALSE_TICKETS / measures), seed)
    noticed = tuple(Noticed(each.drop, each.days and each.days + age / 86400) for each in noticed)
    return MonitorPlan(name, "users", users, false, False, noticed, enough)


@lru_cache(32)
def _simulated(users: float, level: float, drop: float, limit: float, seed: int) -> tuple[float, tuple[Noticed, ...]]:
    """False alerts in a quarter, and the median days until drops are noticed."""
    rng, with_data = np.random.default_rng(seed), _with_data(users)
    of_year, before, after = (max(1, round(days * with_data)) for days in (YEAR, BEFORE, AFTER))
    units = daily_units(rng, users, (STEADY, of_year))
    false = [len(each[::2]) for each in changes(units, good_of(rng, units, np.full(units.shape, level)), drop, limit)]
    units = daily_units(rng, users, (DROPPED * len(DROPS), before + after))
    levels = np.full(units.shape, level)
    for number, each in enumerate(DROPS):
        levels[number * DROPPED : (number + 1) * DROPPED, before:] -= each
    found = changes(units, good_of(rng, units, levels), drop, limit)
    first = np.array([next((day - before for day in each[::2] if day > before), inf) for each in found]).reshape(len(DROPS), DROPPED)
    medians = np.quantile(first, 0.5, axis=1, method="lower") / with_data
    days = (float(each) if np.isfinite(each) else None for each in medians)
    return float(np.mean(false)) * QUARTER / YEAR, tuple(Noticed(*each) for each in zip(DROPS, days, strict=True))


def _with_data(users: float) -> float:
    """Share of days that have any of so many users a day."""
    return 1.0 if users >= VARYING else 1 - exp(-users)


def golden_plans(loop: LoopConfig, rows: int) -> list[MonitorPlan]:
    """The golden set on the live endpoint, of so many golden rows: its floor, and the comparison with the version's own evaluation.

    Answers to the same rows are the same each day, so that what a report does not see, the next one does not see either.
    """
    a_day, n, floor = ticks_a_day(loop.monitors.every), min(rows, loop.monitors.sample), loop.monitors.golden_floor
    if n == 0 or a_day == 0:
        return []
    right = np.arange(n + 1)
    proves = np.array([floor_p(int(each), n, floor) < floor_risk(a_day) for each in right])
    below = [float(binom.pmf(right, n, max(floor - drop, 0.0)) @ proves) for drop in DROPS]
    least = _least_wrong(n, regression_risk(a_day))
    worse = [0.0 if least is None else float(binom.sf(least - 1, n, drop)) for drop in DROPS]
    return [
        MonitorPlan(
            name, "golden rows", float(n), risk * QUARTER / YEAR, True,
            tuple(Noticed(drop, 1 / a_day if chance >= SEEN else None) for drop, chance in zip(DROPS, chances, strict=True)),
            f"{what}: seen with probability {', '.join(f'{chance:.0%}' for chance in chances)}",
        )
        for name, risk, chances, what in (
            ("golden floor", FLOOR_RISK, below, f"points below the floor {floor:g}"),
            ("golden regression", REGRESSION_RISK, worse, f"rows that were right and are wrong; it takes {least or 'more than there are'}"),
        )
    ]  # fmt: skip


def drift_plan(policy: Drift, queries: float, reference: Reference | None, seed: int = 0) -> MonitorPlan:
    """Drift alarms with so many queries a day; a drop is the share of queries that are new. Without a reference only the false alarms."""
    days = policy.window / 86400
    in_window, a_day = min(queries * days, policy.sample), ticks_a_day(policy.every)
    rate = alarm_rate(policy.false_alarms, policy.budget_reports, consecutive=policy.consecutive, part=WINDOWS_PART)
    rng = np.random.default_rng(seed)
    hours = max(1, round(24 / a_day)) if a_day else QUARTER * 24
    single = float(np.mean([false_retrains(rng, policy, rate, hours) for _ in range(200)]))
    added = (
        (1 - WINDOWS_PART) * false_alarms_expected(policy.false_alarms) * QUARTER / (policy.budget_reports / a_day if a_day else QUARTER)
    )
    noticed = tuple(Noticed(share, None) for share in DROPS)
    if in_window < policy.min_sample:
        why = f"a window has {in_window:.0f} queries, and {policy.min_sample} are needed: every report is NOT ENOUGH DATA"
        return MonitorPlan("drift alarm", "queries", queries, 0.0, False, noticed, why)
    noticed = ()
    sentence = "share of queries that are new; known once there is a reference: ftassets drift and the drift report say it then"
    if reference is not None and in_window >= SIZES[0]:
        disjoint = min(a_day, 1 / days)  # windows that share queries count once
        found = [power(reference, int(in_window), rate, share, policy.consecutive, draws=200).probability for share in DROPS]
        delays = [reports_until(each, policy.consecutive) / disjoint for each in found]
        noticed = tuple(Noticed(share, delay if delay <= AFTER else None) for share, delay in zip(DROPS, delays, strict=True))
        sentence = "share of queries that are new, by single windows; evidence over several windows sees some of them sooner"
    return MonitorPlan("drift alarm", "queries", queries, single + added, False, noticed, sentence)


def daily_units(rng: np.random.Generator, users: float, shape: tuple[int, int]) -> Counts:
    """Users of each loop and day (loops, days), of the days that have any."""
    if users >= VARYING:
        return np.full(shape, round(min(users, MOST_USERS)))
    from scipy.stats import poisson

    return poisson.ppf(rng.uniform(exp(-users), 1, shape), users).astype(np.int64)


def good_of(rng: np.random.Generator, units: Counts, levels: NDArray[np.float64], day_sd: float = DAY_SD, week: float = 0.0) -> Counts:
    """Good ones of each loop and day (loops, days): around levels with effects of days, and a weekly cycle of `week`."""
    effects = week * np.sin(2 * np.pi * np.arange(levels.shape[1]) / 7) + rng.normal(0, day_sd, levels.shape)
    return rng.binomial(units, np.clip(levels + effects, 0, 1))


def changes(units: Counts, good: Counts, drop: float, limit: float) -> list[list[int]]:
    """Days on which each loop (loops, days) was found to have dropped, or to be back, by turns; the first day is 1."""
    pairs, place = np.unique(np.stack([units, good]).reshape(2, -1), axis=1, return_inverse=True)
    logs, place = likelihoods(pairs[0], pairs[1], drop), place.reshape(units.shape)
    watch, found = Watch(drop, len(units)), [list[int]() for _ in units]
    for day in range(units.shape[1]):
        if (proved := watch.evidence(logs[place[:, day]]) >= limit).any():
            watch.turn(proved)
            for loop in np.flatnonzero(proved):
                found[loop].append(day + 1)
    return found


def false_retrains(rng: np.random.Generator, policy: Drift, rate: float, step: int) -> int:
    """Retrains by alarms of single windows in a quarter in which nothing drifts, with a report every `step` hours.

    A window's statistic is the mean of the scores of its hours, so that windows that overlap share them. After a retrain counting starts
    anew.
    """
    from scipy.stats import norm

    length = max(1, round(policy.window / _HOUR))
    sums = np.cumsum(np.concatenate([[0.0], rng.normal(size=max(QUARTER * 24, length))]))
    ends = np.arange(length, len(sums), step)
    alarms = (sums[ends] - sums[ends - length]) / np.sqrt(length) > norm.isf(rate)
    return retrains_of(ends, length, alarms, policy)


def retrains_of(ends: Counts, length: int, alarms: NDArray[np.bool_], policy: Drift) -> int:
    """Retrains that alarms (reports,) of windows of so many hours that end then (hours) start."""
    found, since = 0, 0
    for place in np.flatnonzero(alarms):
        if place < since:
            continue
        if alarms_in_a_row(_newest_first(ends, length, alarms, int(place), since), policy.longest_gap) >= policy.consecutive:
            found, since = found + 1, int(place) + 1
    return found


def _newest_first(ends: Counts, length: int, alarms: NDArray[np.bool_], place: int, since: int) -> Iterable[WindowVerdict]:
    for each in range(place, since - 1, -1):
        verdict = DriftVerdict.ALARM if alarms[each] else DriftVerdict.QUIET
        yield WindowVerdict(_HOUR * (ends[each] - length), _HOUR * ends[each], verdict)


def _least_wrong(n: int, risk: float) -> int | None:
    """The fewest of n rows that were right and are wrong now which a report calls a regression; None if not even all of them are."""
    before = {f"{row}": True for row in range(n)}
    for wrong in range(1, n + 1):
        live = {name: row >= wrong for row, name in enumerate(before)}
        if regression("golden rows", live, before, risk)[1].verdict is Verdict.FAIL:
            return wrong
    return None
