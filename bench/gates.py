"""How often gates and canary are wrong, next to the rules before and to rules that just compare two numbers.

Each gate is asked at its boundary, where the stated error is largest: by exact sums for right or wrong, else by simulation through the
functions that decide. Cells differ in rows, margins, shares of errors on one side or both, rare classes and tails.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product
from math import factorial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from bench.rows import Row, Size, parse, parser, write
from ftassets.config.loop import Guardrail, Rollout
from ftassets.domain.agreement import APART, FOR_SHARE, beyond_chance_p, expected_apart, share_of_ties
from ftassets.domain.evaluation.llm_judge import Calibration, LabelledChoice, PairwiseScore
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.evidence import mean_evidence
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.latency import latency_power
from ftassets.domain.gates.llm_judge import evaluate_llm_judge
from ftassets.domain.gates.macro_f1 import gain_bound, loss_bound
from ftassets.domain.gates.planning import bound_power, power, rows_needed
from ftassets.domain.gates.prediction_powered import Judged, judged_bounds
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import Floats, pair_p_values, weighted_p_values
from ftassets.domain.power import POWER, pairs_power, smallest
from ftassets.domain.rollout.canary import CanaryAnswers, Move, decide, one_by_one
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import rollback_limit
from ftassets.domain.rollout.planning import WORSE, e_paths, plan_rollout
from ftassets.domain.sequential_share import fewest_good
from ftassets.domain.statistics import p95_ratio_upper_bound, share_lower_bound

ALPHA, ALLOWED = 0.05, 0.055
ROWS = (10, 20, 31, 50, 100, 163, 200, 500, 1000, 2000)
MARGINS = (0.01, 0.02, 0.05, 0.1, 0.2)
ALSO_WON = (0.0, 0.001, 0.01, 0.05, 0.3)  # share of rows that a candidate worse by the margin wins all the same
GOAL = f"<= {ALLOWED}"
BETTER = Gate(metric="exact_match", better_than="production")
NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.02)
POLICY = Rollout(guardrails=(Guardrail(metric="errors", margin=0.005),))
REQUESTS_PER_HOUR, TICKS_PER_HOUR, SHARE, ERRORS = 1000, 12, 0.05, 0.01

# values of a row, their shares, and the smallest value there can be; the mean is the boundary
SCORES: dict[str, tuple[list[float], list[float], float]] = {
    "differences of field accuracy, losses on 4 % of rows": ([-1, -0.5, -0.25, 0], [0.01, 0.01, 0.02, 0.96], -1),
    "differences of field accuracy, both ways": ([-1, -0.5, 0, 0.5, 1], [0.05, 0.15, 0.6, 0.15, 0.05], -1),
    "differences of ROUGE, many small, few large": ([-0.9, -0.02, 0.02, 0.05], [0.02, 0.4, 0.38, 0.2], -1),
    "scores near 1, a few of 0": ([0, 0.9, 1], [0.02, 0.48, 0.5], 0),
    "scores near 0, a few of 1": ([0, 0.1, 1], [0.5, 0.48, 0.02], 0),
    "lengths against 1.2 times production's, 3 % ten times as long": ([-880, 20], [0.03, 0.97], -2000),
    "nats, a few rows very unlikely": ([-6, -0.1, 0.1], [0.02, 0.49, 0.49], -10),
    "costs of 0, 1, 5 and 50, the dearest on 1 % of rows": ([-50, -5, -1, 0], [0.01, 0.03, 0.1, 0.86], -50),
    "differences of costs, a dear mistake instead of cheap ones": ([-50, 1, 0], [0.01, 0.5, 0.49], -50),
    "scores of two sizes": ([0.2, 0.8], [0.5, 0.5], 0),
}
CLASSES = {"four even classes": [0.25] * 4, "a class of 5 %": [0.5, 0.3, 0.15, 0.05], "a class of 2 %": [0.7, 0.28, 0.02]}

SIDES = np.array([-1.0, 0.0, 1.0])
# the judge's choices (production, tie, candidate), what people choose for each of these, and what they choose on other pairs
Choices = tuple[float, float, float]
FOLLOWED = ((0.9, 0.05, 0.05), (0.1, 0.8, 0.1), (0.05, 0.05, 0.9))
EQUAL: tuple[tuple[str, Choices, tuple[Choices, ...], tuple[Choices, ...]], ...] = (
    ("a fair judge", (0.3, 0.4, 0.3), ((0.8, 0.1, 0.1), (0.2, 0.6, 0.2), (0.1, 0.1, 0.8)), FOLLOWED),
    ("a judge for the candidate", (0.1, 0.4, 0.5), ((1, 0, 0), (0.2, 0.7, 0.1), (0.2, 0.32, 0.48)), FOLLOWED),
    ("a judge for the candidate that never calls a tie", (0, 0, 1), ((1, 0, 0), (0, 1, 0), (0.5, 0, 0.5)), FOLLOWED),
    ("people prefer production where the judge calls a tie", (0.05, 0.5, 0.45), ((1, 0, 0), (0.8, 0.2, 0), (0, 0, 1)), FOLLOWED),
    ("a judge that never prefers an answer", (0, 1, 0), ((1, 0, 0), (0.3, 0.4, 0.3), (0, 0, 1)), FOLLOWED),
    ("few differences", (0.02, 0.96, 0.02), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), FOLLOWED),
)

SIZES = {
    "draws": Size(20_000, 20_000, "simulated comparisons of each cell of scores and response times"),
    "f1": Size(300, 2_000, "simulated comparisons of each cell of macro F1"),
    "judged": Size(150, 4_000, "simulated samples of each cell of judged differences"),
    "canaries": Size(2_000, 10_000, "simulated canaries"),
    "hours": Size(168, 168, "length of a canary that is as good as production"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("gates", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("gates", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Measure every row."""
    rng = np.random.default_rng(options.seed)
    yield from right_or_wrong()
    yield from recall()
    yield from scores(rng, options.draws)
    yield from conversations(rng, options.draws)
    yield from macro_f1(rng, options.f1)
    yield from spread_errors(rng, options.f1)
    yield from small_classes()
    yield from latency(rng, options.draws)
    yield from reviewed()
    yield from by_judge(rng, options.judged)
    yield from planned(rng, options.draws)
    yield from canaries(rng, options)


def right_or_wrong() -> Iterator[Row]:
    """Exact sums over every outcome."""
    for margin in MARGINS:
        cells = [(n, won, won + margin) for n, won in product(ROWS, [*ALSO_WON, (1 - margin) / 2]) if 2 * won + margin <= 1]
        ours = max(pairs_power(n, won, lost, -margin, ALPHA) for n, won, lost in cells)
        old = max(old_power(n, won, lost, -margin) for n, won, lost in cells)
        what = f"no_worse_than, margin {margin:g}, passes a model worse by it, worst of {len(cells)} cells"
        yield Row(what, ours, "share", GOAL, ours <= ALLOWED, old, "rule 1 (Agresti and Min)")
        ours = max(pairs_power(n, lost, won, margin, ALPHA) for n, won, lost in cells)
        yield Row(f"no_worse_than, margin {margin:g}, FAILs a model worse by it", ours, "share", GOAL, ours <= ALLOWED)
    for differing, wanted in ((0.02, 0.95), (0.1, 0.85)):
        ours, old = pairs_power(2000, differing / 2, differing / 2, -0.02, ALPHA), old_power(2000, differing / 2, differing / 2, -0.02)
        what = f"no_worse_than, margin 0.02, passes an equal model on 2,000 rows, {differing:.0%} of them differing"
        yield Row(what, ours, "share", f">= {wanted}", ours >= wanted, old, "rule 1 (Agresti and Min)")

    cells2 = [(n, share / 2) for n, share in product(ROWS, (0.001, 0.01, 0.05, 0.3, 1.0))]
    ours = max(pairs_power(n, each, each, 0.0, ALPHA) for n, each in cells2)
    higher = max(float(binom.sf(0, n, 2 * each) / 2) for n, each in cells2)  # about: half of what is no tie
    yield Row(
        f"better_than passes an equal model, worst of {len(cells2)} cells", ours, "share", GOAL, ours <= ALLOWED, higher, "higher wins"
    )
    ours = pairs_power(500, 0.07, 0.03, 0.0, ALPHA)
    yield Row("better_than passes a model better by 4 points on 500 rows, 10 % of them differing", ours, "share", ">= 0.85", ours >= 0.85)

    limits = (0.5, 0.9, 0.95, 0.99)
    found = [fixed_errors(n, limit) for n, limit in product(ROWS, limits)]
    for place, verdict in enumerate(("passes", "FAILs")):
        ours, naive = max(each[place] for each in found), max(each[2 + place] for each in found)
        what = f"at_least {verdict} a model that is at the limit, worst of {len(found)} cells"
        yield Row(what, ours, "share", GOAL, ours <= ALLOWED, naive, "the estimate decides")


def recall() -> Iterator[Row]:
    """Every class at least: exact sums. PASS is wrong most often if one class is at the limit, FAIL if all of them are."""
    for limit in (0.5, 0.8, 0.95):
        cells = list(product((10, 20, 50, 200), (1, 5, 20, 100)))
        passes = max(fixed_errors(n, limit)[0] for n, _ in cells)
        fails, naive = 0.0, 0.0
        for n, classes in cells:
            one, uncorrected = fixed_errors(n, limit, ALPHA / classes)[1], fixed_errors(n, limit)[1]
            fails, naive = max(fails, 1 - (1 - one) ** classes), max(naive, 1 - (1 - uncorrected) ** classes)
        what = f"recall of every class at least {limit:g}"
        yield Row(
            f"{what} passes a model with one class at the limit, worst of {len(cells)} cells", passes, "share", GOAL, passes <= ALLOWED
        )
        yield Row(
            f"{what} FAILs a model with all classes at the limit, worst of {len(cells)} cells", fails, "share", GOAL, fails <= ALLOWED,
            naive, "each class at 5 %",
        )  # fmt: skip
    drawn = [in_a_slice(n, share, 0.7) for n, share in product((20, 40, 80, 200), (0.01, 0.03, 0.1))]
    ours, naive = (max(each[place] for each in drawn) for place in (0, 1))
    what = f"recall of every class at least 0.7 in a slice passes a model with a rare class at 0.7, worst of {len(drawn)} cells"
    yield Row(what, ours, "share", GOAL, ours <= ALLOWED, naive, "the classes that the slice's rows have")


def in_a_slice(n: int, share: float, limit: float) -> tuple[float, float]:
    """Chance to pass if a class is at the limit and as rare as this among the n rows of a slice: with it as a class, and where its
    rows say which classes there are."""
    rows = np.arange(n + 1)
    chance = binom.pmf(rows, n, share)
    passed = float(sum(weight * fixed_errors(int(k), limit)[0] for k, weight in zip(rows, chance, strict=True) if k and weight > 1e-12))
    return passed, passed + float(chance[0])


def fixed_errors(n: int, limit: float, alpha: float = ALPHA) -> tuple[float, float, float, float]:
    """Chance of PASS and of FAIL when the true share is the limit, by the bounds, and by the estimate."""
    right = np.arange(n + 1)
    lower = np.array([share_lower_bound(int(k), n, 1 - alpha) for k in right])
    upper = np.array([1 - share_lower_bound(int(n - k), n, 1 - alpha) for k in right])
    weights = binom.pmf(right, n, limit)
    return tuple(float(weights[each].sum()) for each in (lower >= limit, upper < limit, right / n >= limit, right / n < limit))  # type: ignore[return-value]


def scores(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Means of values of any kind, at the limit: how often they are called above it."""
    for name, (values, shares, low) in SCORES.items():
        distinct, limit = np.array(values, dtype=float), float(np.dot(values, shares))
        ours, old = 0.0, 0.0
        for n in (10, 30, 100, 300, 1000):
            counts = rng.multinomial(n, shares, size=draws)
            ours = max(ours, float(np.mean(weighted_p_values(distinct, counts, limit, low) < ALPHA)))
            old = max(old, float(np.mean(old_bounds(distinct, counts, low) > limit)))
        yield Row(f"a mean at the limit passes: {name}, worst of 5 sizes", ours, "share", GOAL, ours <= ALLOWED, old, "rule 1 (Wald)")
    begin = time.process_time()
    both = rng.beta(2, 1, (2, 2000))
    mean_evidence((both[0] - both[1]).tolist(), (-1.0, 1.0), float(np.mean(both[0] - both[1])) - 0.01, 0.95)
    spent = time.process_time() - begin
    yield Row("one gate on 2,000 scores, rows needed included", spent, "CPU-seconds", "<= 1", spent <= 1)


def conversations(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """The share of right answers at the limit, in conversations of 8 answers that are right together more often than by chance."""
    size, limit = 8, 0.8
    for name, spread in (("independent", 1e9), ("alike", 1.0), ("all right or all wrong", 1e-9)):
        ours, naive = 0.0, 0.0
        for n in (10, 30, 100, 300):
            chance = rng.beta(limit * spread, (1 - limit) * spread, (draws, n))
            right = rng.binomial(size, chance)
            counts = np.stack([(right == k).sum(axis=1) for k in range(size + 1)], axis=1)
            ours = max(ours, float(np.mean(weighted_p_values(np.arange(size + 1) / size, counts, limit, 0.0) < ALPHA)))
            first = first_success(n * size, limit)
            naive = max(naive, float(np.mean(right.sum(axis=1) >= first)))
        what = f"share of right answers at the limit passes: conversations of {size} answers, {name}, worst of 4 sizes"
        yield Row(what, ours, "share", GOAL, ours <= ALLOWED, naive, "answers as rows")


def first_success(n: int, limit: float) -> int:
    """Fewest right of n independent rows that pass at_least the limit."""
    right = np.arange(n + 1)
    return int(right[np.array([share_lower_bound(int(k), n, 1 - ALPHA) for k in right]) >= limit][0])


def macro_f1(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Macro F1 at its limit, the last class lost in part; each sample has a row of each class, else the gate decides nothing."""
    for name, shares in CLASSES.items():
        ours, old, sliced, power_ = 0.0, 0.0, 0.0, 0.0
        for n, kept in product((20, 50, 200), (0.1, 0.6, 0.95)):
            joint = np.diag([*shares[:-1], shares[-1] * kept])
            joint[-1, 0] = shares[-1] * (1 - kept)
            true = f1_of(joint[None])[0]
            tables = rng.multinomial(n, joint.ravel(), size=draws).reshape(draws, len(shares), -1)
            whole = tables.sum(axis=2).min(axis=1) > 0
            passed = [bool(gain_bound(*labels_of(each), None, true, 0.95).p_value < ALPHA) for each in tables[whole]]
            ours = max(ours, sum(passed) / draws)
            by_chance = [bool(gain_bound(*labels_of(each), None, true, 0.95).p_value < ALPHA) for each in tables[~whole]]
            sliced = max(sliced, (sum(passed) + sum(by_chance)) / draws)
            old = max(old, float(np.mean([old_f1(rng, each) > true for each in tables])))
        yield Row(f"f1 at its limit passes: {name}, worst of 9 cells", ours, "share", GOAL, ours <= ALLOWED, old, "rule 1 (bootstrap)")
        what = f"f1 at its limit passes in a slice: {name}, worst of 9 cells"
        yield Row(what, ours, "share", GOAL, ours <= ALLOWED, sliced, "the classes that the slice's rows have")
        perfect = np.diag(np.round(np.array(shares) * 400).astype(int))
        power_ = gain_bound(*labels_of(perfect), None, 0.0, 0.95).bound
        yield Row(f"f1, lower bound with 400 rows right of 400: {name}", power_, "share")


def spread_errors(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Macro F1 at its limit where five rare classes are each right half of the time, and the others' answers are of no class."""
    rare, often = 0.04, 0.8
    joint = np.zeros((6, 7))
    joint[:5, :5], joint[:5, 6], joint[5, 5] = np.diag([rare / 2] * 5), rare / 2, often
    true = (5 * 2 / 3 + 1) / 6  # F1 of a class is twice its right rows by its rows and those it is named for
    for n in (150, 300):
        tables = rng.multinomial(n, joint.ravel(), size=draws).reshape(draws, 6, 7)
        whole = tables[tables.sum(axis=2).min(axis=1) > 0]
        failed = sum(loss_bound(*labels_of(each), None, true, 0.95, [str(k) for k in range(6)]).p_value < ALPHA for each in whole) / draws
        yield Row(f"f1 at its limit FAILs: five classes of 4 % right half of the time, n = {n}", failed, "share", GOAL, failed <= ALLOWED)


def small_classes() -> Iterator[Row]:
    """Macro F1 at its limit where each of eight classes has few rows, some are right by chance, and the others always: exact sums.

    Wrong answers are of no class.
    """
    passes, fails, shares = 0.0, 0.0, np.linspace(0.05, 0.95, 19)
    for rows, by_chance in product((2, 3, 4), (1, 2, 4)):
        true, below, above = (2 * shares / (1 + shares) * by_chance + 8 - by_chance) / 8, 0.0, 0.0
        for right in combinations_with_replacement(range(rows + 1), by_chance):
            of = Counter(right)
            chance = factorial(by_chance) * np.prod([binom.pmf(k, rows, shares) ** n / factorial(n) for k, n in of.items()], axis=0)
            expected, said = few_rows(rows, [*right, *[rows] * (8 - by_chance)])
            low, high = (bound(expected, said, None, 0.5, 0.95).bound for bound in (gain_bound, loss_bound))
            below, above = below + chance * (low > true + 1e-9), above + chance * (high < true - 1e-9)
        passes, fails = max(passes, float(np.max(below))), max(fails, float(np.max(above)))
    cells = f"worst of {9 * len(shares)} cells"
    yield Row(f"f1 at its limit passes: eight classes of 2 to 4 rows, exact, {cells}", passes, "share", GOAL, passes <= ALLOWED)
    yield Row(f"f1 at its limit FAILs: eight classes of 2 to 4 rows, exact, {cells}", fails, "share", GOAL, fails <= ALLOWED)


def few_rows(rows: int, right: Sequence[int]) -> tuple[list[str], list[str]]:
    """Expected and predicted labels of classes of so many rows, of each of which so many are right."""
    expected = [str(label) for label, _ in enumerate(right) for _ in range(rows)]
    return expected, [str(label) if row < often else "none" for label, often in enumerate(right) for row in range(rows)]


def reviewed() -> Iterator[Row]:
    """Human review, at its limit: exact sums over all samples, whenever people stop."""
    cells = list(product((10, 29, 60, 100, 300), (0.5, 0.8, 0.9, 0.95, 0.99)))
    for verdict, sign in (("passes", 1), ("FAILs", -1)):
        ours = max(ever_proved(most, limit if sign > 0 else 1 - limit) for most, limit in cells)
        naive = max(ever_proved(most, limit if sign > 0 else 1 - limit, each_alone=True) for most, limit in cells)
        what = f"human_review {verdict} a model that is at the limit, asked after each answer, worst of {len(cells)} cells"
        yield Row(what, ours, "share", GOAL, ours <= ALLOWED, naive, "Clopper and Pearson after each answer")
    good, whole = ever_reached(100, 0.9, 0.97), float(binom.sf(95, 100, 0.97))
    what = "human_review of 100 answers, at least 0.9, passes a model with 97 % good ones"
    yield Row(what, good[0], "share", ">= 0.75", good[0] >= 0.75, whole, "the whole sample")
    yield Row(
        "... after so many answers, on average of those that pass", good[1], "answers", "<= 80", good[1] <= 80, 100.0, "the whole sample"
    )


def ever_proved(most: int, true: float, each_alone: bool = False) -> float:
    """Chance that a share is ever proved to be above what it is."""
    first = fewest_good(most, true, 0.95)
    if each_alone:
        first = binom.isf(0.05, np.arange(1, most + 1), true).astype(int) + 1
    going, missed = np.array([1.0]), 0.0
    for seen in range(1, most + 1):
        going = np.append(going * (1 - true), 0.0) + np.append(0.0, going * true)
        over = np.arange(seen + 1) >= first[seen - 1]
        missed += float(going[over].sum())
        going = np.where(over, 0.0, going)
    return missed


def ever_reached(most: int, limit: float, true: float) -> tuple[float, float]:
    """Chance to pass, and after how many answers on average."""
    first, going, passed, answers = fewest_good(most, limit, 0.95), np.array([1.0]), 0.0, 0.0
    for seen in range(1, most + 1):
        going = np.append(going * (1 - true), 0.0) + np.append(0.0, going * true)
        over = np.arange(seen + 1) >= first[seen - 1]
        passed, answers = passed + float(going[over].sum()), answers + seen * float(going[over].sum())
        going = np.where(over, 0.0, going)
    return passed, answers / passed


def by_judge(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """LLM judge gates on models that people find equal, and judges whose kappa is just not enough."""
    for what, choices, people, elsewhere in EQUAL:
        joint = np.array(choices)[:, None] * np.array(people)
        assert abs(float(joint.sum(axis=0) @ SIDES)) < 1e-9
        passed, naive = 0, 0
        for rows, labels in ((100, 30), (200, 60)):
            for _ in range(draws):
                sample = judged_sample(rng, joint, choices, rows, labels)
                passed += judged_bounds(sample, 0.0, 0.95).p_above < ALPHA
                naive += by_other_pairs(rng, sample, np.array(elsewhere), labels)
        ours, peer = passed / (2 * draws), naive / (2 * draws)
        yield Row(
            f"llm_judge better_than passes an equal model, {what}", ours, "share", GOAL, ours <= ALLOWED, peer, "labels on other pairs"
        )
    worse = evaluate_llm_judge(Gate(metric="llm_judge", better_than="production"), judged_alone(30, 0.9))
    what = "llm_judge better_than passes a model that its judge prefers on 90 % of rows, with 200 labels on other pairs alone"
    passes = float(worse.verdict is Verdict.PASS)
    yield Row(what, passes, "share", "0", passes == 0, 1.0, "labels on other pairs")
    worst = 0.0
    for n in (30, 60, 100, 300):
        same = np.arange(n + 1)  # of n pairs without ties, 70 % of which make kappa 0.4
        tables = np.stack([0 * same, same, n - same, 0 * same, 0 * same], axis=1).astype(float)
        p = beyond_chance_p(0.4, 1, APART, tables, expected_apart, share_of_ties(0, n, ALPHA))
        worst = max(worst, float(binom.pmf(same, n, 0.7) @ (p < ALPHA * (1 - FOR_SHARE))))
    what = "a judge whose kappa is min_kappa is taken to agree enough, exact, worst of 4 sizes"
    yield Row(what, worst, "share", GOAL, worst <= ALLOWED, 0.5, "the estimate decides")


def judged_sample(rng: np.random.Generator, joint: Floats, choices: Sequence[float], rows: int, labels: int) -> Judged:
    """Choices of a judge and of people, who label some of the rows."""
    table, rest = rng.multinomial(labels, joint.ravel()), rng.multinomial(rows - labels, choices)
    labelled = tuple(pair for pair, often in zip(product(SIDES, SIDES), table.tolist(), strict=True) for _ in range(often))
    return Judged(tuple(np.repeat(SIDES, rest).tolist()), labelled, weight=0.5)


def by_other_pairs(rng: np.random.Generator, sample: Judged, people: Floats, labels: int) -> bool:
    """Whether the judge's mean is above 0, times how often people follow it on as many pairs of other answers: what rule 3 did."""
    choices = [*sample.rows, *(judge for judge, _ in sample.labelled)]
    kinds = rng.multinomial(labels, [0.4, 0.2, 0.4])
    agreeing, against = (
        sum(rng.binomial(kinds[2 * place], people[2 * place, side[place]]) for place in (0, 1)) for side in ((0, 2), (2, 0))
    )
    won, lost = choices.count(1.0), choices.count(-1.0)
    p = [float(pair_p_values(up, down, n, 0.0)) for up, down, n in ((won, lost, len(choices)), (agreeing, against, labels))]
    return max(p) < ALPHA


def judged_alone(rows: int, preferred: float) -> EvalReport:
    """A report whose answers nobody labelled; its judge agrees with people on 190 of 200 other pairs, and prefers the candidate."""
    names = [f"r{number}" for number in range(rows)]
    scores = [Score(id=name, slice="golden", exact=True, fields=1.0, valid=True) for name in names]
    choices = [
        PairwiseScore(id=name, slice="golden", value=1.0 if number < preferred * rows else -1.0) for number, name in enumerate(names)
    ]
    people = [LabelledChoice(judge=1, people=1)] * 190 + [LabelledChoice(judge=1, people=-1)] * 10
    return EvalReport(
        loop="l", run_id="r", candidate="c", production="p", production_is_base=False, base="b", dataset_commit="d", golden_commit="g",
        policy_digest="o", generation={}, latency_ms={}, answers={}, scores={"candidate": scores, "production": scores},
        pairwise_scores=choices, llm_judge_calibration=Calibration(n=200, min_kappa=0.4, kappa=0.9, choices=tuple(people)),
    )  # fmt: skip


def latency(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """Ratios of 95th percentiles: response times of one mode, of two, and with a heavy tail."""
    for name, n, p95 in product(
        ("log times spread by 0.3", "two modes, 6 % three times as slow", "a heavy tail"), (20, 60, 100, 400), (1.2,)
    ):
        passed, old, tried = 0, 0, 0
        for number in range(draws // 4):
            if name.startswith("two"):
                production, candidate = rng.normal(100, 2, (2, n))
                candidate *= np.where(rng.random(n) < 0.06, 3, 1)
            else:
                production, candidate = np.exp(rng.normal(0, 0.3, (2, n))) if "log" in name else rng.pareto(1.5, (2, n)) + 1
                candidate *= p95
            bound = p95_ratio_upper_bound(candidate.tolist(), production.tolist(), 0.95)
            passed += bound is not None and bound < p95
            if number < 200:
                old, tried = old + (old_p95(rng, candidate, production) < p95), tried + 1
        ours, peer = passed / (draws // 4), old / tried
        yield Row(
            f"latency at its limit or above passes: {name}, {n} pairs", ours, "share", GOAL, ours <= ALLOWED, peer, "rule 1 (bootstrap)"
        )


def planned(rng: np.random.Generator, draws: int) -> Iterator[Row]:
    """The rows that a plan, or a verdict, asks for: how often they tell."""
    goal = "0.75 to 0.85"
    for gate, win, lose in (
        (BETTER, 0.07, 0.03),
        (BETTER, 0.03, 0.0),
        (NO_WORSE, 0.05, 0.05),
        (NO_WORSE, 0.01, 0.01),
        (NO_WORSE, 0.15, 0.15),
    ):
        n = rows_needed(gate, win - lose, win + lose)
        assert n is not None
        counts = rng.multinomial(n, [win, lose, 1 - win - lose], size=draws)
        ours = float(np.mean(pair_p_values(counts[:, 0], counts[:, 1], n, -(gate.margin or 0.0)) < ALPHA))
        what = f"{gate.name} passes on the {n:,} rows of its plan, {win:.0%} won and {lose:.0%} lost"
        yield Row(what, ours, "share", goal, 0.75 <= ours <= 0.85)
    gate = Gate(metric="exact_match", at_least=0.9)
    n = smallest(lambda rows: bound_power(gate, rows, 0.04) >= POWER)
    assert n is not None
    right = binom.rvs(n, 0.94, size=draws, random_state=rng)
    known = {k: share_lower_bound(int(k), n, 0.95) >= 0.9 for k in np.unique(right)}
    ours = float(np.mean([known[k] for k in right]))
    yield Row(f"at_least 0.9 passes 0.94 on the {n:,} rows of its plan", ours, "share", goal, 0.75 <= ours <= 0.85)
    gate = Gate(metric="latency_p95", no_worse_than="production", margin=0.2)
    n = smallest(lambda pairs: latency_power(gate, pairs, 0.3) >= POWER)
    assert n is not None
    times = np.exp(rng.normal(0, 0.3, (2000, 2, n)))
    ours = float(np.mean([(p95_ratio_upper_bound(c.tolist(), p.tolist(), 0.95) or np.inf) < 1.2 for c, p in times]))
    yield Row(f"latency, margin 20 %, passes an equal model on the {n:,} pairs of its plan", ours, "share", goal, 0.75 <= ours <= 0.85)
    for name, (values, shares, low) in SCORES.items():
        limit = float(np.dot(values, shares)) - 0.02 * -(low or -1.0)
        seen = np.repeat(values, np.round(np.array(shares) * 100).astype(int)).tolist()
        needed = mean_evidence(seen, (low, max(1.0, *values)), limit, 0.95).rows_needed
        if needed is None:
            continue
        counts = rng.multinomial(needed, shares, size=draws // 4)
        ours = float(np.mean(weighted_p_values(np.array(values, dtype=float), counts, limit, low) < ALPHA))
        what = f"about {needed:,} rows would tell: they do, {name}"
        yield Row(what, ours, "share", ">= 0.75", ours >= 0.75)
    cells = [(gate, n, effect) for gate in (BETTER, NO_WORSE) for n in (100, 500, 1000) for effect in (-0.02, 0.0, 0.02, 0.04)]
    apart = [abs(power(gate, n, effect, 0.1) - simulated(rng, gate, n, effect, draws)) for gate, n, effect in cells]
    yield Row(
        f"planned against simulated power, largest distance of {len(cells)} cells", max(apart), "share", "<= 0.03", max(apart) <= 0.03
    )


def simulated(rng: np.random.Generator, gate: Gate, n: int, effect: float, draws: int) -> float:
    """Share of comparisons passed, 10 % of the rows differing."""
    counts = rng.multinomial(n, [(0.1 + effect) / 2, (0.1 - effect) / 2, 0.9], size=draws)
    return float(np.mean(pair_p_values(counts[:, 0], counts[:, 1], n, -(gate.margin or 0.0)) < ALPHA))


def canaries(rng: np.random.Generator, options: argparse.Namespace) -> Iterator[Row]:
    """The e-process of a rollout."""
    ours, peer, ticks = quiet_canaries(rng, options.canaries, options.hours)
    what = f"canary as good as production rolled back, {ticks} ticks"
    yield Row(what, ours, "share", f"<= {POLICY.false_rollback:g}", ours <= POLICY.false_rollback, peer, "> 2 % in the last tick")
    ours = failing_canaries(rng, max(1, options.canaries // 10))
    what = f"canary that fails {WORSE:g} times as often rolled back within the planned requests, at 50 %"
    yield Row(what, ours, "share", "0.75 to 0.85", 0.75 <= ours <= 0.85, 0.8, "the plan")


def quiet_canaries(rng: np.random.Generator, runs: int, hours: int) -> tuple[float, float, int]:
    """Share of canaries as good as production that are ever rolled back: by the e-process, and by the last tick's error share."""
    per_tick = REQUESTS_PER_HOUR // TICKS_PER_HOUR
    ticks = hours * TICKS_PER_HOUR
    limit, back, jumpy, done = rollback_limit(POLICY), 0, 0, 0
    while done < runs:
        count = min(200, runs - done)
        failures = rng.binomial(ticks * per_tick, ERRORS, size=count)
        failed = np.arange(failures.max()) < failures[:, None]
        mine = rng.random(failed.shape) < SHARE
        back += int((e_paths(mine, failed, SHARE)[0] >= limit).any(axis=1).sum())
        requests = rng.binomial(per_tick, SHARE, size=(count, ticks))
        jumpy += int((rng.binomial(requests, ERRORS) > 0.02 * requests).any(axis=1).sum())
        done += count
    return back / runs, jumpy / runs, ticks


def failing_canaries(rng: np.random.Generator, runs: int) -> float:
    """Share of failing canaries at 50 % that `decide` rolls back within the requests of the plan, asked every 50 requests."""
    step = next(step for step in plan_rollout(POLICY, 24.0 * REQUESTS_PER_HOUR, ERRORS) if step.weight == 50)
    assert step.rollback_requests is not None
    state = EndpointState(production="p", candidate="c", weight=50, since=0.0)
    total, back = 2 * step.rollback_requests, 0
    for _ in range(runs):
        mine = rng.random(total) < 0.5
        failed = rng.random(total) < np.where(mine, WORSE * ERRORS, ERRORS)
        canary_answers = [CanaryAnswers(bool(m), 50, bool(f)) for m, f in zip(mine, failed, strict=True)]
        seen = [canary_answers[:count] for count in [*range(50, total, 50), total]]
        back += any(decide(state, one_by_one(each), POLICY, 0.0).move is Move.ROLLBACK for each in seen)
    return back / runs


# what rule 1 did


def old_power(n: int, win: float, lose: float, limit: float) -> float:
    """Chance that the bound of Agresti and Min is above the limit, by an exact sum."""
    losses, wins = np.arange(n + 1)[:, None], np.arange(n + 1)[None, :]
    mean = (wins - losses) / (n + 2)
    error = np.sqrt(np.maximum((wins + losses + 1) / (n + 2) - mean**2, 0) / (n + 2))
    clears = (mean - norm.ppf(1 - ALPHA) * error > limit) & (wins + losses <= n)
    first = np.where(clears.any(axis=1), clears.argmax(axis=1), n + 1)
    return float(binom.pmf(losses[:, 0], n, lose) @ binom.sf(first - 1, n - losses[:, 0], min(1.0, win / (1 - lose))))


def old_bounds(values: Floats, counts: NDArray[np.int64], low: float) -> Floats:
    """Wald's bound with half a win and half a loss added, on a scale from -1 to 1."""
    most = max(1.0, -low, float(np.abs(values).max()))
    n, scaled = counts.sum(axis=1), values / most
    mean = counts @ scaled / (n + 2)
    error = np.sqrt(np.maximum((counts @ scaled**2 + 1) / (n + 2) - mean**2, 0) / (n + 2))
    found: Floats = most * (mean - norm.ppf(1 - ALPHA) * error)
    return found


def old_f1(rng: np.random.Generator, table: NDArray[np.int64]) -> float:
    """A bootstrap bound with one wrong row, spread over the classes that the sample has."""
    seen = table.sum(axis=1) > 0
    weights = rng.standard_gamma(table + 1e-12, size=(400, *table.shape))
    lost = rng.standard_gamma(table.sum(axis=1) / table.sum() + 1e-12, size=(400, len(table)))
    true = weights.sum(axis=2) + lost
    each = 2 * np.einsum("dii->di", weights) / np.maximum(true + weights.sum(axis=1), 1e-12)
    return float(np.quantile(each[:, seen].mean(axis=1), ALPHA))


def old_p95(rng: np.random.Generator, candidate: Floats, production: Floats) -> float:
    """A bootstrap bound of the ratio."""
    picks = rng.integers(0, len(candidate), size=(400, len(candidate)))
    quantiles = [np.quantile(times[picks], 0.95, axis=1) for times in (candidate, production)]
    return float(np.quantile(quantiles[0] / quantiles[1], 1 - ALPHA))


def f1_of(tables: Floats) -> Floats:
    """Macro F1 of tables of expected by predicted labels."""
    found: Floats = (2 * np.einsum("dii->di", tables) / (tables.sum(axis=2) + tables.sum(axis=1))).mean(axis=1)
    return found


def labels_of(table: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Expected and predicted labels with these counts."""
    places = [(i, j) for i, j in np.argwhere(table) for _ in range(table[i, j])]
    return [str(i) for i, _ in places], [str(j) for _, j in places]


if __name__ == "__main__":
    sys.exit(main())
