"""A year of a loop's monitors: false tickets and retrains while nothing changes, and days until a drop is noticed.

Simulated days go through the functions that decide. For the alert and the trigger of live quality that is `lasting_drop`; a day's level is
the lasting one, with a weekly cycle of 2 points or without, and with day effects of a standard deviation of 0.02 or without. For drift
alarms it is the rate that follows from the budget and the schedule, and the count of alarms in a row; a window's statistic is the mean of
the scores of its hours, so that windows that overlap share them.
For golden rows, the same 200 are asked each day: answers are the same each time (greedy), each row has a chance of its own to be right, or
all rows have the same chance. A judge marks one score in twenty a step off by itself.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bench.rows import Row, Size, parse, parser, write
from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import Drift
from ftassets.domain.drift import Reference, alarm_rate, build_reference, novelty_thresholds
from ftassets.domain.drift.budget import WINDOWS_PART
from ftassets.domain.drift.novelty import at_usual_mix, nearest_distances, novelty_scores
from ftassets.domain.drift.occupancy import assign
from ftassets.domain.monitoring.estimate import Estimate, share_of
from ftassets.domain.monitoring.feedback_age import feedback_age
from ftassets.domain.monitoring.golden import Floor, at_floor, floor_risk, regression, regression_risk
from ftassets.domain.monitoring.judge_anchors import follow_judged, judge_drift, risk_of_a_report
from ftassets.domain.monitoring.lasting_drop import DayShare, Turn, Watch, likelihoods, limit_of, turns
from ftassets.domain.monitoring.planning import DAY_SD, changes, good_of, retrains_of
from ftassets.domain.monitoring.quality import CURABLE, FALSE_TICKETS, FALSE_TRIGGERS, Day, Series
from ftassets.domain.traffic.feedback import FeedbackAge
from ftassets.domain.traffic.retention import DAY

YEAR, DROP, MEASURES = 365, 0.05, 4  # days; `monitors.quality_drop`; measures of a loop without a judge
ANSWERS, LEVELS = (50, 200, 1000), (0.7, 0.9, 0.98)
STEADY = {"independent answers": (0.0, 0.0), "day effects": (0.02, 0.0), "day effects and weeks": (0.02, 0.02)}
# users a day and levels of the measures of a loop: two of feedback, two of the log, one of a judge
LOOP = ((50, 0.9), (50, 0.95), (1000, 0.98), (1000, 0.98), (200, 0.8))
BEFORE, LASTS, AFTER = 42, 58, 20  # days before, during and after a drop
TICKET, TRIGGER = limit_of(FALSE_TICKETS / MEASURES), limit_of(FALSE_TRIGGERS / len(CURABLE))

LATE_ANSWERS, PRAISE = 200, (2.0, 3.0, 4.0)  # users with feedback a day; mean days after which they praise

GOLDEN, FLOOR = 200, 0.85  # rows asked; `monitors.golden_floor`
# spread of the rows' own chances to be right, as the sum of both parameters of a beta distribution; of which answers are drawn each day
ROWS = {"greedy answers": 1e-3, "sampled answers": 1.0, "sampled answers, all rows alike": 1e6}

ANCHORS, JUDGED_A_DAY = 120, 200  # rows with fixed answers and answers that the judge scores in a report

QUARTER, HOURS = 91, 24  # days; hours of a day
TOPICS, DIMENSIONS, REQUESTS, POOL, IN_WINDOW = 20, 32, (2200, 400), 10_000, 450  # of weekdays and a weekend; to draw from; of a window
# schedule, and length of the window in hours
SCHEDULES = tuple(product(("0 * * * *",), (HOURS, 1))) + tuple(product(("0 6 * * *", "0 6 * * 1"), (HOURS, 7 * HOURS)))

SIZES = {"quarters": Size(1000, 10_000, "simulated quarters of each schedule"), "loops": Size(40, 1000, "simulated loops of each cell"),
         "references": Size(8, 40, "drift references with topics of weekends")}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("months", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("months", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    yield from steady_quality(rng, options.loops)
    yield from drops(rng, options.loops)
    yield from late_praise(rng, options.loops)
    yield from golden(rng, options.loops)
    yield from together(rng, max(options.loops // 2, 1))
    yield from hourly(rng, max(options.loops // 2, 1))
    yield from judges(rng, max(options.loops // 4, 1))  # each follows its days anew at each report
    yield from drift(rng, options.quarters)
    yield from weekends(rng, options.references, options.quarters // 50)


def steady_quality(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Years in which nothing changes; the same loops for the alert and for the trigger."""
    worst, two, triggered, before = 0.0, 0.0, [], []
    for answers, level, (sd, week) in product(ANSWERS, LEVELS, STEADY.values()):
        units = np.full((loops, YEAR), answers)
        good = good_of(rng, units, np.full(units.shape, level), sd, week)
        tickets = np.array([len(each[::2]) for each in changes(units, good, DROP, TICKET)])
        worst, two = max(worst, float((tickets > 0).mean())), max(two, float((tickets > 1).mean()))
        triggered.append([bool(each) for each in changes(units, good, DROP, TRIGGER)])
        before.append(rolling_means(good / answers))
    cells = f"worst of {len(triggered)} cells"
    yield Row(f"steady quality: years with more than one ticket of a measure, {cells}", two, "share", "<= 0.05", two <= 0.05)
    yield Row(f"steady quality: years with a ticket of a measure, {cells}", worst, "share")
    share, old = float(np.mean(triggered)) * MEASURES, float(np.mean(before))
    yield Row(
        f"steady quality: years of a loop with {MEASURES} measures that ask for a retrain, mean of {len(triggered)} cells",
        share, "share", "<= 0.02", share <= 0.02, old, "three rolling means of 7 days below the baseline less the drop, one measure",
    )  # fmt: skip


def drops(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Drops that begin after six weeks and last 58 days, with day effects."""
    for (drop, within), answers in product(((0.1, 6), (0.05, 14)), ANSWERS):
        noticed, once = [], []
        for level in LEVELS:
            levels = np.full((loops, BEFORE + LASTS + AFTER), level)
            levels[:, BEFORE : BEFORE + LASTS] -= drop
            units = np.full(levels.shape, answers)
            found = changes(units, good_of(rng, units, levels), DROP, TICKET)
            noticed.append([next((day - BEFORE for day in each[::2] if day > BEFORE), LASTS) for each in found])
            once.append([len(each) == 2 and each[0] > BEFORE and each[1] > BEFORE + LASTS for each in found])
        slowest = max(float(np.median(each)) for each in noticed)
        what = f"a drop of {drop:.0%}, {answers} answers a day: median of days until the ticket, slowest of {len(LEVELS)} levels"
        bar = answers >= 200
        yield Row(what, slowest, "days", f"<= {within}" if bar else None, slowest <= within if bar else None)
        share = min(float(np.mean(each)) for each in once)
        what = f"a drop of {drop:.0%}, {answers} answers a day: one ticket and one resolve within 58 and 20 days"
        yield Row(what, share, "share", ">= 0.8" if bar else None, share >= 0.8 if bar else None)


def late_praise(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Users who complain at once and praise days later: steady years, and drops, beyond the age that feedback has to have."""
    two, slowest, ages = 0.0, {0.1: 0.0, 0.05: 0.0}, list[float]()
    for mean, level in product(PRAISE, LEVELS):
        age = feedback_age(_came(rng, mean)) / DAY
        ages.append(age)
        steady = praised(rng, np.full((loops, YEAR), level), mean, age)
        two = max(two, float(np.mean([len(each[::2]) > 1 for each in changes(*steady, DROP, TICKET)])))
        for drop in slowest:
            levels = np.full((loops, BEFORE + LASTS), level)
            levels[:, BEFORE:] -= drop
            found = changes(*praised(rng, levels, mean, age), DROP, TICKET)
            days = np.median([next((day - BEFORE for day in each[::2] if day > BEFORE), LASTS) for each in found])
            slowest[drop] = max(slowest[drop], float(days))
    few = [praised_as_before(rng, level, mean) for mean, level in product(PRAISE, LEVELS) for _ in range(max(loops // 20, 1))]
    who = f"{LATE_ANSWERS} users a day who complain at once and praise in a mean of {PRAISE[0]:g} to {PRAISE[-1]:g} days"
    yield Row(
        f"{who}: steady years with more than one ticket of a measure, worst of {len(ages)} cells", two, "share", "<= 0.05", two <= 0.05,
        float(np.mean(few)), f"days with what feedback they have, share of loops with a ticket in {LASTS} days",
    )  # fmt: skip
    yield Row(f"{who}: age of an answer up to which feedback counts", max(ages), "days")
    for (drop, late), within in zip(slowest.items(), (6, 14), strict=True):
        what = f"{who}: a drop of {drop:.0%}, median of days until the ticket beyond that age, slowest of {len(ages)} cells"
        yield Row(what, late, "days", f"<= {within}", late <= within)


def praised(rng: np.random.Generator, levels: NDArray[np.float64], mean: float, age: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Users and satisfied ones of each loop and day (loops, days) by feedback up to an age, in days, as is `mean`."""
    good = good_of(rng, np.full(levels.shape, LATE_ANSWERS), levels)
    came = rng.binomial(good, 1 - np.exp(-age / mean))
    return LATE_ANSWERS - good + came, came


def praised_as_before(rng: np.random.Generator, level: float, mean: float) -> bool:
    """Whether a steady loop has a ticket in so many days when each day counts with the feedback that it has, read again for two weeks."""
    good = good_of(rng, np.full((1, LASTS), LATE_ANSWERS), np.full((1, LASTS), level))[0]
    came = [np.floor(rng.exponential(mean, each)) for each in good]
    found: list[Turn] = []
    for today in range(1, LASTS):
        up = [int((each <= today - day - 1).sum()) for day, each in enumerate(came[:today])]
        days = [DayShare(LATE_ANSWERS - good[day] + each, each) for day, each in enumerate(up)]
        found = turns(days, DROP, TICKET, found)
    return bool(found)


def _came(rng: np.random.Generator, mean: float) -> list[FeedbackAge]:
    """How late feedback comes: complaints within minutes, praise by an exponential distribution with a mean in days."""
    praise = np.floor(rng.exponential(mean * 24, 5000)).astype(int)
    return [FeedbackAge(0, 0, 500, 500), *(FeedbackAge(hours, n, 0, 0) for hours, n in enumerate(np.bincount(praise).tolist()))]


def golden(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Years of daily reports on golden rows of versions whose lasting share of right answers does not change."""
    for share in (0.85, 0.855):
        false, before = [], []
        for spread in ROWS.values():
            counts = [golden_year(rng, share, spread).sum(axis=0) for _ in range(loops)]
            false.append(np.mean([floor_pages(each) > 0 for each in counts]))
            before.append(np.mean([share_of(right, GOLDEN).high < FLOOR for each in counts for right in each.tolist()]) * YEAR)
        worst = float(max(false))
        yield Row(
            f"golden floor {FLOOR}, a version at {share}: years with a page, worst of {len(ROWS)} kinds of answers", worst, "share",
            "<= 0.05", worst <= 0.05, float(max(before)), "pages a year of the 95 % interval each day",
        )  # fmt: skip
    for share in (0.83, 0.8):
        pages = float(np.mean([floor_pages(golden_year(rng, share, 1.0).sum(axis=0)) for _ in range(loops)]))
        yield Row(f"golden floor {FLOOR}, a version at {share}, sampled answers: pages a year", pages, "pages", "<= 1.5", pages <= 1.5)
    days = [first_page(golden_year(rng, 0.7, 1.0).sum(axis=0)) for _ in range(loops)]
    median = float(np.median(days))
    yield Row(f"golden floor {FLOOR}, a version at 0.7: median of days until the page", median, "days", "<= 3", median <= 3)
    false_regressions = []
    for spread in ROWS.values():
        years = [golden_year(rng, FLOOR, spread, YEAR + 1) for _ in range(loops)]
        false_regressions.append(np.mean([regressed(each[:, 0], each[:, 1:]) for each in years]))
    worst = float(max(false_regressions))
    what = f"golden regression, a version as in its evaluation: years with a ticket, worst of {len(ROWS)} kinds of answers"
    yield Row(what, worst, "share", "<= 0.05", worst <= 0.05)


def together(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Years in which nothing changes, of loops with all monitors of live quality: tickets and pages of all of them added up.

    Drift alarms have a budget of their own, see `drift`.
    """
    limit, others = limit_of(FALSE_TICKETS / len(LOOP)), np.zeros(loops, dtype=int)
    for loop in range(loops):
        years = golden_year(rng, FLOOR, ROWS["sampled answers"], YEAR + 1)
        others[loop] = floor_pages(years[:, 1:].sum(axis=0)) + regressed(years[:, 0], years[:, 1:]) + judge_called_changed(rng)
    for name, (sd, week) in STEADY.items():
        found = others.copy()
        for answers, level in LOOP:
            units = np.full((loops, YEAR), answers)
            found += [len(each[::2]) for each in changes(units, good_of(rng, units, np.full(units.shape, level), sd, week), DROP, limit)]
        share = float((found > 1).mean())
        what = f"steady year of a loop with {len(LOOP)} measures, golden rows at the floor and a judge, {name}: more than one false ticket"
        yield Row(what, share, f"share of {loops} loops", "<= 0.05", share <= 0.05)


def judge_called_changed(rng: np.random.Generator) -> bool:
    """Whether any of a year's daily reports says that a judge which has not changed has."""
    fixed = rng.choice([5, 4, 2, 1], p=[0.3, 0.1, 0.2, 0.4], size=ANCHORS)
    days = ({f"{n}": score for n, score in enumerate(marked(rng, fixed, 0.0).tolist())} for _ in range(YEAR + 1))
    first = next(days)
    return any(judge_drift(first, now, risk_of_a_report(1)).changed for now in days)


def hourly(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """Years in which nothing changes, with a report each hour: of a day that is not over, it reads what there is so far."""
    for answers, level in ((50, 0.9), (1000, 0.98)):
        share = float(np.mean([each > 1 for each in hourly_tickets(rng, loops, answers, level)]))
        what = f"hourly reports, steady year, {answers} answers a day at {level:g}, day effects: more than one ticket of a measure"
        yield Row(what, share, f"share of {loops} loops", "<= 0.05", share <= 0.05)
    right = [golden_year(rng, FLOOR, spread, YEAR * HOURS).sum(axis=0) for spread in ROWS.values() for _ in range(max(loops // 4, 1))]
    share = float(np.mean([floor_pages(each, HOURS) > 0 for each in right]))
    what = f"hourly reports, golden floor {FLOOR}, a version at it: years with a page"
    yield Row(what, share, f"share of {len(right)} loops", "<= 0.05", share <= 0.05)


def hourly_tickets(rng: np.random.Generator, loops: int, answers: int, level: float) -> list[int]:
    """False tickets of a year for each loop; what a report finds on part of a day stands."""
    watch, tickets = Watch(DROP, loops), np.zeros(loops, dtype=int)
    for _ in range(YEAR):
        levels = np.clip(level + rng.normal(0, DAY_SD, loops), 0, 1)
        units = rng.multinomial(answers, np.full(HOURS, 1 / HOURS), loops)
        good = rng.binomial(units, levels[:, None]).cumsum(axis=1)
        units = units.cumsum(axis=1)
        turned = np.zeros(loops, dtype=bool)
        for hour in range(HOURS):
            there = units[:, hour] > 0
            logs = likelihoods(units[:, hour], good[:, hour], DROP)
            turned |= there & (deepcopy(watch).evidence(logs) >= TICKET)
        watch.evidence(logs)
        tickets += turned & ~watch.down
        if turned.any():
            watch.turn(turned)
    return tickets.tolist()


def golden_year(rng: np.random.Generator, share: float, spread: float, days: int = YEAR) -> NDArray[np.bool_]:
    """Whether each of the golden rows was right on each day (rows, days)."""
    chance = rng.beta(share * spread, (1 - share) * spread, GOLDEN)
    return rng.random((GOLDEN, days)) < chance[:, None]


def floor_pages(counts: NDArray[np.int64], a_day: int = 1) -> int:
    """Pages that so many reports a day with these counts of right rows (reports,) send."""
    return sum(below and not before for before, below in pairwise([False, *_below(counts, a_day)]))


def first_page(counts: NDArray[np.int64]) -> int:
    """After how many days the page is sent; the number of days if it is not."""
    return next((day for day, below in enumerate(_below(counts), start=1) if below), len(counts))


def _below(counts: NDArray[np.int64], a_day: int = 1) -> Iterator[bool]:
    known = Floor()
    for right in counts.tolist():
        known, _ = at_floor(_shares(right), right, FLOOR, floor_risk(a_day), known)
        yield known.below


@cache
def _shares(right: int) -> Estimate:
    return share_of(right, GOLDEN)


def regressed(before: NDArray[np.bool_], days: NDArray[np.bool_]) -> bool:
    """Whether any day (rows, days) is called worse than the evaluation before (rows,)."""
    then = {str(row): right for row, right in enumerate(before.tolist())}
    looks = ({str(row): right for row, right in enumerate(each)} for each in days.T.tolist())
    return any(regression("golden rows", look, then, regression_risk(1))[0].found for look in looks)


def judges(rng: np.random.Generator, loops: int) -> Iterator[Row]:
    """A judge that becomes stricter while answers stay as good, and answers that get worse under the same judge, from day 42 on."""
    for stricter in (0.1, 0.2, 0.4):
        told = [judged_days(rng, stricter, 0.0, with_anchors=True) is not None for _ in range(loops)]
        before = [judged_days(rng, stricter, 0.0, with_anchors=False) is not None for _ in range(loops)]
        share = float(np.mean(told))
        yield Row(
            f"a judge that marks {stricter:.0%} of answers a step lower: loops with a ticket on quality in {LASTS} days", share, "share",
            "<= 0.05", share <= 0.05, float(np.mean(before)), "without rows of fixed answers",
        )  # fmt: skip
    noticed = [judged_days(rng, 0.0, 0.4, with_anchors=True) for _ in range(loops)]
    median = float(np.median([LASTS if each is None else each for each in noticed]))
    what = "a steady judge, 40 % of answers a step worse (10 points): median of days until the ticket"
    yield Row(what, median, "days", "<= 6", median <= 6)


def judged_days(rng: np.random.Generator, stricter: float, worse: float, with_anchors: bool) -> int | None:
    """Days until a ticket on the judged answers, None without one, when the judge marks a share of answers lower or they are worse."""
    fixed = rng.choice([5, 4, 2, 1], p=[0.3, 0.1, 0.2, 0.4], size=ANCHORS)
    series, first = Series(), dict[str, int]()
    for day in range(BEFORE + LASTS):
        lower, bad = (stricter, worse) if day >= BEFORE else (0.0, 0.0)
        answers = marked(rng, rng.choice([5, 4, 3, 1], p=[0.6, 0.2, 0.1, 0.1], size=JUDGED_A_DAY), lower + bad)
        now = {str(n): score for n, score in enumerate(marked(rng, fixed, lower).tolist())}
        found = judge_drift(first, now, risk_of_a_report(1)) if with_anchors else None
        if found and found.changed:
            series, first = Series(), now
        first = first or now
        good = float(((answers - 1) / 4).sum())
        series = series.with_days([Day(day=f"{day:04}", users=JUDGED_A_DAY, good=good)])
        series, _, _ = follow_judged(series, DROP, None, MEASURES + 1, found)
        if series.dropped:
            return day - BEFORE + 1
    return None


def marked(rng: np.random.Generator, scores: NDArray[np.int64], lower: float) -> NDArray[np.int64]:
    """Scores (n,) as a judge gives them: a share a step lower, and one in twenty a step off either way."""
    step = -(rng.random(len(scores)) < lower).astype(int) + (rng.random(len(scores)) < 0.05) * rng.choice([-1, 1], size=len(scores))
    return np.clip(scores + step, 1, 5)


def drift(rng: np.random.Generator, quarters: int) -> Iterator[Row]:
    """Quarters in which nothing drifts: more than one false retrain, by schedule and window."""
    for every, length in SCHEDULES:
        policy = Drift(every=every, window=f"{length}h")
        rate = alarm_rate(policy.false_alarms, policy.budget_reports, consecutive=policy.consecutive, part=WINDOWS_PART)
        as_daily = alarm_rate(policy.false_alarms, QUARTER, consecutive=policy.consecutive, part=WINDOWS_PART)
        step = round(HOURS / ticks_a_day(every))
        held, before = [], []
        for _ in range(quarters):
            sums = np.cumsum(np.concatenate([[0.0], rng.normal(size=QUARTER * HOURS)]))
            ends = np.arange(length, len(sums), step)
            scores = (sums[ends] - sums[ends - length]) / np.sqrt(length)
            held.append(retrains_of(ends, length, scores > norm.isf(rate), policy) <= policy.false_alarms)
            before.append(consecutive_alarms(scores > norm.isf(as_daily), policy.consecutive) <= policy.false_alarms)
        what = f"drift, cron {every}, window of {length} h: quarters with at most 1 false retrain by single windows"
        share = float(np.mean(held))
        yield Row(
            what, share, "share", ">= 0.95", share >= 0.95, float(np.mean(before)), "rate of daily reports, alarms of any two reports"
        )


def weekends(rng: np.random.Generator, references: int, quarters: int) -> Iterator[Row]:
    """Quarters in which a quarter of the topics are most of weekends and hardly any of other days, and in the reference as they come.

    Queries are vectors around topics; a window's novelty is the product's, and the peer's is the mean without regard to how few rows of
    the reference its topics have.
    """
    held: dict[tuple[str, int], list[bool]] = {schedule: [] for schedule in SCHEDULES}
    before: dict[tuple[str, int], list[bool]] = {schedule: [] for schedule in SCHEDULES}
    for _ in range(references):
        centres = _unit(rng.normal(size=(TOPICS, DIMENSIONS)))
        reference = build_reference(_traffic(rng, centres, *REQUESTS), "bench")
        pools = []
        for weekend in (False, True):
            fresh = _traffic(rng, centres, 0 if weekend else POOL, POOL if weekend else 0)
            clusters = assign(fresh, reference.centres)
            pools.append((novelty_scores(reference.usual, nearest_distances(fresh, reference.vectors), clusters), clusters))
        for every, length in SCHEDULES:
            for _ in range(quarters):
                usual, plain = _alarms_of_quarter(rng, reference, pools, every, length)
                held[every, length].append(usual)
                before[every, length].append(plain)
    for (every, length), each in held.items():
        share = float(np.mean(each))
        what = f"drift, cron {every}, window of {length} h, topics of weekends: quarters with at most 1 false retrain by novelty of windows"
        peer = "means without regard to the reference's rows"
        yield Row(what, share, f"share of {len(each)}", ">= 0.95", share >= 0.95, float(np.mean(before[every, length])), peer)


def _alarms_of_quarter(
    rng: np.random.Generator, reference: Reference, pools: Sequence[tuple[NDArray[np.float64], NDArray[np.int64]]], every: str, length: int
) -> tuple[bool, bool]:
    """Whether a quarter has at most one false retrain, by novelty as the product has it, and by plain means."""
    policy = Drift(every=every, window=f"{length}h")
    rate = alarm_rate(policy.false_alarms, policy.budget_reports, consecutive=policy.consecutive, part=WINDOWS_PART)
    weekend = np.arange(QUARTER * HOURS) // HOURS % 7 >= 5
    hourly = rng.poisson(np.where(weekend, 0.5, 1.0) * IN_WINDOW / length)
    k, hour = len(reference.centres), np.repeat(np.arange(len(weekend)), hourly)
    chosen = rng.integers(POOL, size=len(hour))
    scores = np.where(weekend[hour, None], pools[1][0][chosen], pools[0][0][chosen])
    clusters = np.where(weekend[hour], pools[1][1][chosen], pools[0][1][chosen])
    sums = np.stack([np.bincount(hour, column, len(weekend)) for column in scores.T], axis=-1)
    counts = np.bincount(hour * k + clusters, minlength=len(weekend) * k).reshape(-1, k)
    ends = np.arange(length, len(weekend) + 1, round(HOURS / ticks_a_day(every)))
    sums, counts = (np.vstack([np.zeros((1, each.shape[1])), each.cumsum(axis=0)]) for each in (sums, counts))
    sums, counts = sums[ends] - sums[ends - length], counts[ends] - counts[ends - length]
    n = counts.sum(axis=1).astype(int)
    means = sums / n[:, None]
    limits = {each: novelty_thresholds(reference, each, rate) for each in set(n.tolist())}
    above = np.array([limits[each] for each in n.tolist()])
    found = (at_usual_mix(reference.usual, means, counts), means)
    alarms = [np.any(each > above, axis=1) for each in found]
    usual, plain = (retrains_of(ends, length, each, policy) <= policy.false_alarms for each in alarms)
    return usual, plain


def _traffic(rng: np.random.Generator, centres: NDArray[np.float64], weekdays: int, weekend: int) -> NDArray[np.float32]:
    """Unit vectors of so many queries of weekdays and of a weekend, whose own topics are the first quarter of all."""
    own = np.arange(TOPICS) < TOPICS // 4
    topics = [
        rng.choice(TOPICS, count, p=np.where(own, share / own.sum(), (1 - share) / (~own).sum()))
        for count, share in ((weekdays, 0.03), (weekend, 0.7))
    ]
    vectors = centres[np.concatenate(topics)]
    return _unit(vectors + 0.15 * rng.normal(size=vectors.shape)).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


def consecutive_alarms(alarms: NDArray[np.bool_], consecutive: int) -> int:
    """Retrains by alarms of so many reports one after the other, whatever they share."""
    found = row = 0
    for alarm in alarms:
        row = row + 1 if alarm else 0
        if row == consecutive:
            found, row = found + 1, 0
    return found


def rolling_means(shares: NDArray[np.float64]) -> list[bool]:
    """Whether each loop ever fulfils the rule before: three rolling means of seven days in a row below the first days less the drop."""
    first = shares[:, :4].mean(axis=1, keepdims=True)
    means = np.lib.stride_tricks.sliding_window_view(shares[:, 4:], 7, axis=1).mean(axis=2)
    low = means < first - DROP
    return [bool(each) for each in (low[:, 2:] & low[:, 1:-1] & low[:, :-2]).any(axis=1)]


if __name__ == "__main__":
    sys.exit(main())
