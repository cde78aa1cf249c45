"""How often gates and canary are wrong, by simulation through the functions that decide, next to rules that just compare two numbers.

In 10 % of the golden rows only one of the two models is right.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.rows import Row, Size, parse, parser, write
from ftassets.config.loop import Rollout
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.planning import power
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import RULES, Rule, usual_reading
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.rollout.canary import CanaryAnswers, Move, decide, latest_of
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.planning import WORSE, e_paths, plan_rollout

BETTER = Gate(metric="exact_match", better_than="production")
NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.02)
ROUGE = Gate(metric="rouge.rougeL", better_than="production")
HIGHER, TWO_POINTS = RULES["task_accuracy"], RULES["rouge_l"]
DISCORDANCE, ROWS, SCORED = 0.10, 500, 200
CELLS = [(gate, n, effect) for gate in (BETTER, NO_WORSE) for n in (100, 300, 500, 1000) for effect in (-0.02, 0.0, 0.02, 0.04)]
POLICY = Rollout()
REQUESTS_PER_HOUR, TICKS_PER_HOUR, SHARE, ERRORS = 1000, 12, 0.05, 0.01
RIGHT, WRONG = ([Score(id=str(i), slice="golden", exact=e, fields=float(e), valid=True) for i in range(1000)] for e in (True, False))
REPORT = EvalReport(
    loop="l", run_id="r", candidate="c", production="p", production_is_base=False, base="b", dataset_commit="d", golden_commit="g",
    policy_digest="o", generation={}, scores={}, latency_ms={}, answers={},
)  # fmt: skip


SIZES = {
    "comparisons": Size(10_000, 10_000, "simulated comparisons of each cell, and canaries"),
    "scored": Size(2000, 2000, "simulated comparisons of row scores"),
    "hours": Size(168, 168, "length of a canary that is as good as production"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("gates", __doc__)
    made.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    return write("gates", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Simulate every row."""
    rng, runs = np.random.default_rng(options.seed), options.comparisons

    equal, better, worse = (draw(rng, runs, ROWS, effect) for effect in (0.0, 0.04, -0.02))
    ours, what = passing(BETTER, equal, ROWS), f"superiority passes an equal model, {ROWS} rows"
    for rule, name in ((HIGHER, "the higher mean wins"), (TWO_POINTS, "more than 2 points higher wins")):
        yield Row(what, ours, "share", "<= 0.06", ours <= 0.06, naive_share(rule, equal), name)
    ours, two = passing(BETTER, better, ROWS), naive_share(TWO_POINTS, better)
    what = f"superiority passes a model better by 4 points, {ROWS} rows"
    yield Row(what, ours, "share", ">= 0.85", ours >= 0.85, two, "more than 2 points higher wins")
    ours, points = passing(NO_WORSE, worse, ROWS), float(np.mean(worse[:, 0] - worse[:, 1] >= -0.02 * ROWS))
    what = f"non-inferiority passes a model worse by the margin of 2 points, {ROWS} rows"
    yield Row(what, ours, "share", "<= 0.06", ours <= 0.06, points, "at most 2 points lower")

    ours, higher, two = row_scores(rng, options.scored, 0.0)
    what = f"superiority on row scores passes an equal model, {SCORED} rows"
    yield Row(what, ours, "share", "<= 0.06", ours <= 0.06, higher, "the higher mean wins")
    yield Row(what, ours, "share", "<= 0.06", ours <= 0.06, two, "more than 2 points higher wins")
    ours, _, two = row_scores(rng, max(1, options.scored // 4), 0.05)
    what = f"superiority on row scores passes a model better by 5 points, {SCORED} rows"
    yield Row(what, ours, "share", ">= 0.80", ours >= 0.80, two, "more than 2 points higher wins")

    apart = [abs(power(gate, n, effect, DISCORDANCE) - passing(gate, draw(rng, runs, n, effect), n)) for gate, n, effect in CELLS]
    what = f"planned against simulated power, largest distance of {len(CELLS)} cells"
    yield Row(what, max(apart), "share", "<= 0.03", max(apart) <= 0.03)

    ours, peer, ticks = quiet_canaries(rng, runs, options.hours)
    what = f"canary as good as production rolled back, {ticks} ticks"
    yield Row(what, ours, "share", f"<= {POLICY.false_rollback:g}", ours <= POLICY.false_rollback, peer, "> 2 % in the last tick")

    ours = failing_canaries(rng, max(1, runs // 10))
    what = f"canary that fails {WORSE:g} times as often rolled back within the planned requests, at 50 %"
    yield Row(what, ours, "share", "0.75 to 0.85", 0.75 <= ours <= 0.85, 0.8, "the plan")


def draw(rng: np.random.Generator, runs: int, n: int, effect: float) -> NDArray[np.int64]:
    """Rows only the candidate and rows only production gets right, (runs, 2)."""
    wins, losses = (DISCORDANCE + effect) / 2, (DISCORDANCE - effect) / 2
    return rng.multinomial(n, [wins, losses, 1 - wins - losses], size=runs)[:, :2]


def passing(gate: Gate, counts: NDArray[np.int64], n: int) -> float:
    """Share of comparisons the gate passes; equal counts are judged once."""
    different, often = np.unique(counts, axis=0, return_counts=True)
    passed = [gate_passes(gate, int(wins), int(losses), n) for wins, losses in different]
    return float(np.dot(passed, often) / often.sum())


def gate_passes(gate: Gate, wins: int, losses: int, n: int) -> bool:
    """Verdict of a report with these counts of discordant rows; both models are right on the others."""
    candidate = RIGHT[:wins] + WRONG[wins : wins + losses] + RIGHT[wins + losses : n]
    production = WRONG[:wins] + RIGHT[wins:n]
    made = REPORT.model_copy(update={"scores": {"candidate": candidate, "production": production}})
    return evaluate_gates([gate], made)[0].verdict is Verdict.PASS


def naive(rule: Rule, candidate: Sequence[float], production: Sequence[float]) -> bool:
    """Whether a rule passes when the means of one score a row are just compared."""
    return usual_reading(rule, float(np.mean(candidate)), float(np.mean(production)))


def naive_share(rule: Rule, counts: NDArray[np.int64]) -> float:
    """Share of comparisons the rule's usual reading passes."""

    @cache
    def says(wins: int, losses: int) -> bool:
        return naive(rule, [1.0] * wins + [0.0] * losses + [1.0] * (ROWS - wins - losses), [0.0] * wins + [1.0] * (ROWS - wins))

    return float(np.mean([says(int(wins), int(losses)) for wins, losses in counts]))


def row_scores(rng: np.random.Generator, runs: int, gain: float) -> tuple[float, float, float]:
    """Share of comparisons passed by the gate, by the higher mean, and by two points more, on scores between 0 and 1.

    Most requests are as hard for both models; on one in five each answers something else.
    """
    gate_wins = higher = two = 0
    for _ in range(runs):
        scores = np.where(rng.random((2, SCORED)) < 0.2, rng.random((2, SCORED)), rng.beta(2, 1, SCORED))
        candidate, production = np.clip(scores[0] + gain, 0, 1), scores[1]
        sides = {"candidate": with_values(candidate.tolist()), "production": with_values(production.tolist())}
        gate_wins += evaluate_gates([ROUGE], REPORT.model_copy(update={"scores": sides}))[0].verdict is Verdict.PASS
        higher += candidate.mean() > production.mean()
        two += naive(TWO_POINTS, candidate.tolist(), production.tolist())
    return gate_wins / runs, higher / runs, two / runs


def with_values(values: list[float]) -> list[Score]:
    """A row a value of the row-score gate's metric."""
    return [Score(id=str(i), slice="golden", exact=False, fields=0.0, valid=True, values={ROUGE.metric: v}) for i, v in enumerate(values)]


def quiet_canaries(rng: np.random.Generator, runs: int, hours: int) -> tuple[float, float, int]:
    """Share of canaries as good as production that are ever rolled back: by the e-process, and by the last tick's error share."""
    per_tick = REQUESTS_PER_HOUR // TICKS_PER_HOUR
    ticks = hours * TICKS_PER_HOUR
    limit, back, jumpy, done = 1 / POLICY.false_rollback, 0, 0, 0
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
        back += any(decide(state, each, latest_of(each), POLICY, 0.0).move is Move.ROLLBACK for each in seen)
    return back / runs


if __name__ == "__main__":
    sys.exit(main())
