"""How often each interval and bound that reports, pages, plans and docs show misses the truth, next to the usual approximations.

Exact sums where outcomes can be listed, else simulation through the functions that make the interval. Cells have few rows, truths near the
ends, and outcomes on one side; the worst cell counts. A two-sided interval at 95 % may miss 5 %, each side 2.5 %.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from bench.gates import CLASSES, SCORES, SIDES, ever_proved, f1_of, judged_sample, labels_of
from bench.rows import Row, Size, parse, parser, write
from ftassets.domain.agreement import APART, FOR_SHARE, KINDS, beyond_chance_p, expected_apart, krippendorff, share_of_ties
from ftassets.domain.evaluation.judge_drift import Rejudged, changed
from ftassets.domain.gates.macro_f1 import gain_bound, loss_bound
from ftassets.domain.gates.prediction_powered import Judged, judged_bounds
from ftassets.domain.mean_bounds import Floats, weighted_p_values
from ftassets.domain.monitoring.estimate import largest_drop, level_bounds
from ftassets.domain.monitoring.judge_anchors import ANCHORS, judge_drift
from ftassets.domain.monitoring.lasting_drop import DayShare
from ftassets.domain.monitoring.planning import DAY_SD
from ftassets.domain.monitoring.quality import RECENT
from ftassets.domain.power import pairs_power
from ftassets.domain.statistics import p95_lower_rank, p95_ratio_ranks, p95_upper_rank, share_interval

STATED = 0.05
OVER = 0.005  # what a figure may be above it
COUNTS = (1, 2, 5, 10, 20, 30, 60, 100, 200, 500, 2000)
TRUTHS = np.unique(np.concatenate([np.geomspace(1e-5, 0.5, 400), np.linspace(0.001, 0.5, 500)]))

# chances of the kinds of agreement in `KINDS`: both tie, same, opposite, only people tie, only the judge ties
AGREEMENTS = {
    "no ties, 5 % apart": (0, 0.95, 0.05, 0, 0),
    "no ties, a fifth apart": (0, 0.8, 0.2, 0, 0),
    "some ties": (0.1, 0.7, 0.1, 0.05, 0.05),
    "ties of the judge alone": (0, 0.8, 0.0, 0.0, 0.2),
    "mostly ties": (0.8, 0.1, 0.05, 0.03, 0.02),
    "by chance": (0.04, 0.32, 0.32, 0.16, 0.16),
    "never apart": (0, 1, 0, 0, 0),
}
# the judge's choices (production, tie, candidate), and what people choose for each of these
OWN = {
    "a judge that is often right": ((0.1, 0.5, 0.4), ((0.8, 0.1, 0.1), (0.2, 0.6, 0.2), (0.1, 0.1, 0.8))),
    "a judge for the candidate": ((0.0, 0.4, 0.6), ((1, 0, 0), (0.4, 0.6, 0), (0.3, 0.3, 0.4))),
    "losses on 3 % that the judge does not see": ((0.0, 1.0, 0.0), ((1, 0, 0), (0.03, 0.97, 0), (0, 0, 1))),
    "losses on 2 %, the judge is always right": ((0.02, 0.98, 0.0), ((1, 0, 0), (0, 1, 0), (0, 0, 1))),
    "no judge: it guesses": ((0.3, 0.4, 0.3), ((0.3, 0.4, 0.3),) * 3),
    "people prefer production where the judge calls a tie": ((0.05, 0.5, 0.45), ((1, 0, 0), (0.8, 0.2, 0), (0, 0, 1))),
    "a judge that never calls a tie, and prefers the candidate": ((0.0, 0.0, 1.0), ((1, 0, 0), (0, 1, 0), (0.5, 0.2, 0.3))),
    "wins on 5 %": ((0.0, 0.95, 0.05), ((0.95, 0, 0.05), (0, 1, 0), (0.05, 0, 0.95))),
}

SIZES = {
    "draws": Size(20_000, 20_000, "simulated samples of each cell of means"),
    "tables": Size(4_000, 20_000, "simulated samples of each cell of agreement"),
    "judged": Size(1_200, 12_000, "simulated samples of judged differences for each kind of judge"),
    "f1": Size(40, 600, "simulated samples of each cell of macro F1"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("intervals", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("intervals", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    yield from shares()
    yield from sequential()
    yield from differences()
    yield from means(rng, options.draws)
    yield from percentiles()
    yield from levels(rng, options.draws // 10)
    yield from stricter_judges()
    yield from agreement(rng, options.tables)
    yield from judged(rng, options.judged)
    yield from drifting(rng, max(200, options.tables // 10))
    yield from macro_f1(rng, options.f1)


def row(what: str, missed: float, peer: float | None = None, peer_name: str | None = None, draws: int = 0, cells: int = 1) -> Row:
    """One interval: the share of samples in which it misses the truth, in the worst cell, of a stated 5 %.

    For `draws` samples a cell, the goal leaves room for what chance alone adds to the worst of so many cells once in a hundred runs.
    """
    allowed = STATED + OVER
    if draws:
        allowed = float(binom.isf(0.01 / cells, draws, allowed)) / draws
    return Row(f"missed: {what}", missed, "share", f"<= {allowed:.4g}", missed <= allowed, peer, peer_name)


def shares() -> Iterator[Row]:
    """Shares of right answers with 95 %: eval report, live golden set and its floor, quality, noise, demo, advice."""
    ours = max(share_missed(n, float(p)) for n, p in product(COUNTS, TRUTHS))
    theirs = max(share_missed(n, float(p), wilson_all) for n, p in product(COUNTS, TRUTHS))
    yield row(f"a share, both sides at 95 %, exact, worst of {len(COUNTS) * len(TRUTHS)} cells", ours, theirs, "Wilson")


def share_missed(n: int, p: float, intervals: "Callable[[int], NDArray[np.float64]] | None" = None) -> float:
    """Chance that the interval of a share does not have p in it."""
    ends = (intervals or exact_all)(n)
    return float(binom.pmf(np.arange(n + 1), n, p)[(p < ends[:, 0]) | (p > ends[:, 1])].sum())


@cache
def exact_all(n: int) -> NDArray[np.float64]:
    """Ends of the interval for 0 to n right ones."""
    return np.array([share_interval(k, n) for k in range(n + 1)])


@cache
def wilson_all(n: int) -> NDArray[np.float64]:
    """Wilson's interval."""
    k, z = np.arange(n + 1), norm.ppf(0.975)
    middle, half = (k + z**2 / 2) / (n + z**2), z * np.sqrt(k * (n - k) / n + z**2 / 4) / (n + z**2)
    return np.stack([middle - half, middle + half], axis=1)


def sequential() -> Iterator[Row]:
    """Human review: at any time at which people stop."""
    cells = list(product((10, 29, 60, 100, 300), (0.5, 0.7, 0.8, 0.9, 0.93, 0.95, 0.98, 0.99)))
    ours = max(ever_proved(most, true) for most, true in cells)
    peer = max(ever_proved(most, true, each_alone=True) for most, true in cells)
    what = f"bounds of a human review at 95 %, at any time that reviewers may stop, exact, worst of {len(cells)} cells"
    yield row(what, ours, peer, "Clopper and Pearson at each answer")


def differences() -> Iterator[Row]:
    """Right or wrong, candidate less production, each bound of a gate at 95 %."""
    cells = [
        (n, win, lose) for n, win, lose in product((10, 20, 50, 100, 300, 1000), (0, 0.002, 0.01, 0.05, 0.3), (0, 0.005, 0.02, 0.1, 0.4))
    ]
    ours = max(pairs_power(n, win, lose, win - lose, 0.05) for n, win, lose in cells if win - lose > -1)
    yield row(f"a bound of a paired difference at 95 %, exact, worst of {len(cells)} cells", ours)


def means(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Bounds of gates on scores."""
    ours, old = 0.0, 0.0
    for (values, chances, _), n in product(SCORES.values(), (10, 30, 100, 300)):
        distinct, truth = np.array(values, dtype=float), float(np.dot(values, chances))
        counts = rng.multinomial(n, chances, size=draws)
        for sign in (1, -1):
            turned = sign * distinct
            low = min(float(turned.min()), sign * truth)
            missed = weighted_p_values(turned, counts, sign * truth, low) < 0.05
            ours, old = max(ours, float(missed.mean())), max(old, float(np.mean(wald(turned, counts) > sign * truth)))
    yield row(f"a bound of a mean of scores at 95 %, worst of {8 * len(SCORES)} cells", ours, old, "Wald", draws, 8 * len(SCORES))


def wald(values: Floats, counts: NDArray[np.int64]) -> Floats:
    """Mean less 1.645 standard errors."""
    n = counts.sum(axis=1)
    mean = counts @ values / n
    found: Floats = mean - norm.ppf(0.95) * np.sqrt(np.maximum(counts @ values**2 / n - mean**2, 0) / n)
    return found


def percentiles() -> Iterator[Row]:
    """95th percentiles of response times: order statistics, whatever the times are."""
    sizes = range(59, 2001, 7)
    upper = max(1 - float(binom.cdf(p95_upper_rank(n, 0.95) - 1, n, 0.95)) for n in sizes)
    lower = max(1 - float(binom.sf(p95_lower_rank(n, 0.95) - 1, n, 0.95)) for n in sizes)
    yield row(f"a bound of the p95 at 95 %, exact for any times, {len(sizes)} sizes", max(upper, lower))
    ranks = [(n, *found) for n in sizes if (found := p95_ratio_ranks(n, 0.95))]
    both = max(float(binom.sf(up - 1, n, 0.95) + binom.cdf(down - 1, n, 0.95)) for n, up, down in ranks)
    yield row(f"the bound of the ratio of two p95 at 95 %, exact for any times, {len(ranks)} sizes", both)


def levels(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Live quality: the level of the newest days, and the drop that they exclude, of few or many users a day and with effects of days."""
    cells = list(product((1, 2, 5, 20, 100, 1000), (0.5, 0.7, 0.85, 0.9, 0.95, 0.99), (0.0, DAY_SD)))
    missed, old, hidden = 0.0, 0.0, 0.0
    for users, true, effects in cells:
        then, now = (np.clip(true - drop + rng.normal(0, effects, (draws, RECENT)), 0, 1) for drop in (0.0, 0.05))
        good, fallen = (rng.binomial(users, each).sum(axis=1) for each in (then, now))
        low, high = np.array([level_of(users, int(each)) for each in good]).T
        missed = max(missed, float(np.mean((low > then.mean()) | (high < then.mean()))))
        share = good / (users * RECENT)
        half = norm.ppf(0.975) * np.sqrt(share * (1 - share) / (users * RECENT) + effects**2 / RECENT)
        old = max(old, float(np.mean(np.abs(share - then.mean()) > half)))
        most = np.array([drop_of(users, int(one), int(other)) for one, other in zip(good, fallen, strict=True)])
        hidden = max(hidden, float(np.mean(most < then.mean() - now.mean() - 1e-9)))
    what = f"a level of live quality over {RECENT} days, both sides at 95 %, worst of {len(cells)} cells"
    yield row(what, missed, old, "Wald", draws, len(cells))
    yield row(f"the drop of live quality that a PASS excludes at 95 %, worst of {len(cells)} cells", hidden, draws=draws, cells=len(cells))


@cache
def level_of(users: int, good: int) -> tuple[float, float]:
    """The interval of the quality report."""
    return level_bounds([DayShare(users, good / RECENT)] * RECENT, 0.975)


@cache
def drop_of(users: int, before: int, now: int) -> float:
    """The largest drop that the quality report does not exclude."""
    then, here = ([DayShare(users, good / RECENT)] * RECENT for good in (before, now))
    return largest_drop(then, here, 0.95)


def stricter_judges() -> Iterator[Row]:
    """How much stricter the judge of live answers may be, by its anchors: few of them are scored lower, by one step or by all."""
    missed, old, shares = 0.0, 0.0, (0.01, 0.02, 0.05, 0.1, 0.3)
    for n, steps in (sizes := list(product((10, 30, 80, ANCHORS), (1, 2, 4)))):
        some = np.arange(n + 1)
        most = np.array([judge_drift(scored(n, 0, steps), scored(n, lower, steps), STATED).most for lower in range(n + 1)])
        errors = some / n + norm.ppf(0.95) * np.sqrt(some / n * (1 - some / n) / n)
        for share in shares:
            chances = binom.pmf(some, n, share)
            missed = max(missed, float(chances[most < share * steps / 4 - 1e-9].sum()))
            old = max(old, float(chances[errors < share].sum()))
    what = f"how much stricter a judge of live answers may be at 95 %, exact, worst of {len(sizes) * len(shares)} cells"
    yield row(what, missed, old, "Wald")


def scored(n: int, lower: int, steps: int) -> dict[str, int]:
    """Scores of n anchors that were 5, some of them lower now."""
    return {f"{anchor}": 5 - steps * (anchor < lower) for anchor in range(n)}


def macro_f1(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Both bounds of macro F1, for samples with a row of each class; others have no bound."""
    for name, chances in CLASSES.items():
        missed = 0.0
        for n, kept, paired in product((30, 100), (0.6, 0.95, 1.0), (False, True)):
            joint = np.diag([*chances[:-1], chances[-1] * kept])
            joint[-1, 0] = chances[-1] * (1 - kept)
            theirs = np.diag(chances)
            truth = f1_of(joint[None])[0] - (f1_of(theirs[None])[0] if paired else 0.0)
            tables = rng.multinomial(n, joint.ravel(), size=draws).reshape(draws, len(chances), -1)
            for bound, beyond in ((gain_bound, 0), (loss_bound, 1)):
                over = 0
                for table in tables[tables.sum(axis=2).min(axis=1) > 0]:
                    expected, said = labels_of(table)
                    found = bound(expected, said, expected if paired else None, truth, 0.95)
                    over += found.bound < truth - 1e-9 if beyond else found.bound > truth + 1e-9
                missed = max(missed, over / draws)
        yield row(f"a bound of macro F1 at 95 %: {name}, worst of 24 cells", missed, draws=draws, cells=24)


def agreement(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Kappa of a judge and people, and Krippendorff's alpha of reviewers: both sides at 95 %."""
    missed, old = 0.0, 0.0
    for chances, n in product(AGREEMENTS.values(), (30, 60, 200)):
        truth = true_kappa(np.array(chances)[None])[0]
        tables = rng.multinomial(n, chances, size=draws)
        distinct, times = np.unique(tables, axis=0, return_counts=True)
        missed = max(missed, float(times @ kappa_missed(distinct, truth)) / draws)
        old = max(old, float(np.mean([bootstrap_misses(rng, table, truth) for table in tables[:400]])))
    cells = 3 * len(AGREEMENTS)
    yield row(f"kappa of judge and people, both sides at 95 %, worst of {cells} cells", missed, old, "percentile bootstrap", draws, cells)
    missed = 0.0
    for good, copied, n in product((0.5, 0.9, 0.98), (0.0, 0.5, 0.9), (30, 60)):
        first = rng.random((draws // 40, n)) < good
        second = np.where(rng.random(first.shape) < copied, first, rng.random(first.shape) < good)
        found = [krippendorff(np.stack(pair, axis=1).tolist()) for pair in zip(first, second, strict=True)]
        missed = max(missed, float(np.mean([each is not None and not each[1] <= copied <= each[2] for each in found])))
    yield row("Krippendorff's alpha of two reviewers, both sides at 95 %, worst of 18 cells", missed, draws=draws // 40, cells=18)


def kappa_missed(tables: NDArray[np.int64], truth: float) -> NDArray[np.bool_]:
    """Whether the interval of each table of counts of `KINDS` misses the true kappa: the tests that the interval inverts."""
    alpha, found = 0.025, np.zeros(len(tables), dtype=bool)
    ties = tables[:, 0] + tables[:, 4]
    for number in np.unique(ties):
        some = np.flatnonzero(ties == number)
        share = share_of_ties(int(number), int(tables[0].sum()), alpha)
        for sign in (1, -1):
            p = beyond_chance_p(truth, sign, APART, tables[some].astype(float), expected_apart, share)
            found[some] |= p < alpha * (1 - FOR_SHARE)
    return found


def true_kappa(chances: Floats) -> Floats:
    """Kappa of each distribution over `KINDS`, or of counts."""
    shares = chances / chances.sum(axis=1, keepdims=True)
    observed, first, second = (shares @ np.array([kind[place] for kind in KINDS], dtype=float) for place in range(3))
    chance = (1 - first) * (1 - second) / 2 + first * second
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (observed - chance) / (1 - chance)
    return found


def bootstrap_misses(rng: np.random.Generator, table: NDArray[np.int64], truth: float) -> bool:
    """Whether a percentile bootstrap of rows misses it."""
    draws = true_kappa(rng.multinomial(table.sum(), table / table.sum(), size=400).astype(float))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return bool(truth < low - 1e-9 or truth > high + 1e-9)


def judged(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """What people would prefer, by an LLM judge and labels: each bound at 95 %."""
    missed, old, cells = 0.0, 0.0, list(product(OWN.values(), ((60, 30), (100, 60), (300, 40), (60, 60))))
    each = draws // len(OWN)
    for (choices, people), (rows, labels) in cells:
        joint = np.array(choices)[:, None] * np.array(people)
        truth = float(joint.sum(axis=0) @ SIDES)
        sides, normal = np.zeros(2), 0
        for _ in range(each):
            sample = judged_sample(rng, joint, choices, rows, labels)
            found = judged_bounds(sample, truth, 0.95)
            sides += found.lower > truth + 1e-9, found.upper < truth - 1e-9
            normal += asymptotic_lower(sample) > truth + 1e-9
        missed, old = max(missed, float(sides.max()) / each), max(old, normal / each)
    what = f"a bound of what people prefer at 95 %, worst of {2 * len(cells)} cells"
    yield row(what, missed, old, "PPI's normal interval", draws=each, cells=2 * len(cells))


def asymptotic_lower(sample: Judged) -> float:
    """The lower bound of prediction-powered inference by the normal approximation."""
    judge, people = (np.array([each[place] for each in sample.labelled]) for place in (0, 1))
    weight = sample.weight if sample.rows else 0.0
    apart, rows = people - weight * judge, weight * np.array(sample.rows or [0.0])
    return float(apart.mean() + rows.mean() - norm.ppf(0.95) * np.sqrt(apart.var() / len(apart) + rows.var() / len(rows)))


def drifting(rng: np.random.Generator, runs: int) -> Iterator[Row]:
    """A judge that does not change, over 26 reports."""
    for noise in (0.0, 0.3):
        alarms = sum(called_changed(rng, noise) for _ in range(runs))
        what = f"a judge that does not change, {noise:.0%} of its choices by chance, is called changed in 26 reports"
        yield row(what, alarms / runs, draws=runs, cells=2)


def called_changed(rng: np.random.Generator, noise: float) -> bool:
    """Whether any check says so."""
    people = rng.integers(-1, 2, 60)
    usual = np.where(rng.random(60) < 0.8, people, -people)

    def choices() -> NDArray[np.int64]:
        return np.where(rng.random(60) < noise, rng.integers(-1, 2, 60), usual)

    first, repeated = choices(), choices()
    seen = ([Rejudged(*map(int, each)) for each in zip(people, first, repeated, choices(), strict=True)] for _ in range(26))  # type: ignore[arg-type]
    return any(changed(pairs, number) for number, pairs in enumerate(seen, start=1))


if __name__ == "__main__":
    sys.exit(main())
