"""What each canary step can prove at the loop's traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from ftassets.config.loop import Guardrail, GuardrailMetric, Rollout
from ftassets.domain.gates.planning import POWER
from ftassets.domain.rollout.canary import limited_or_margin
from ftassets.domain.rollout.guardrails import LAPSES, RATIOS, rollback_limit
from ftassets.domain.rollout.non_inferiority import FEWEST_USERS, difference
from ftassets.domain.rollout.shadow_phase import COIN, pair_limit
from ftassets.domain.traffic.lapses import LIMITED, OF_FEEDBACK, LapseCounts
from ftassets.errors import InvalidInput

MOST_TRAFFIC = 1e12  # requests a day; counts of a simulated rollout must fit into 64 bits
WORSE = 3.0  # how many times production's error rate a candidate fails that a canary should catch
RUNS = 2000  # simulated rollouts: a share of 0.8 within 0.018, 95 times of 100
DISCORDANT_LIMIT = 1000  # discordant pairs simulated of a shadow
FAILURES_LIMIT = 5000  # failures simulated per step; a canary that needs more is called unable to see it
RATES: dict[GuardrailMetric, float] = {
    "errors": 0.01, "form": 0.01, "latency": 0.05, "first_token": 0.05, "length": 0.05, "refusals": 0.02, "language": 0.01,
    "thumbs_down": 0.05, "corrections": 0.02,
}  # fmt: skip
"""Share of production's answers that lapse, of those with feedback where it is about that; assumed."""
FEEDBACK = 0.1  # share of answers with feedback, assumed
WITHIN = 0.03  # share of a candidate's answers beyond its limit of latency or length where it is as production; assumed
_BLOCK = 100
DAY = 86_400.0
YEAR = 365.0  # days


@dataclass(frozen=True)
class StepPlan:
    """One canary step at `weight` percent, where no user fails twice.

    Requests are the candidate's, and hold for 8 of 10 rollouts, as do the days.

    `rollback_*`: until a candidate that fails `WORSE` times as often is rolled back, if it stayed at this step; None when that takes
    more failures than were simulated. `promote_*`: until a candidate as good as production may take the next step.
    `caught`: share of the failing candidates that are rolled back before the step ends, evidence of the steps before included (and
    want of data, where the policy rolls back for it).
    """

    weight: int
    rollback_requests: int | None
    rollback_days: float | None
    promote_requests: int
    promote_days: float
    caught: float


@dataclass(frozen=True)
class ProofPlan:
    """When a candidate as good as production is proved to be no worse in a guardrail, at the last step, in 8 of 10 rollouts.

    `users` of the version with fewer; `days` None where that takes longer than a year. Users are alike: a user with many answers is
    worth as many users. Where they are not, it takes longer.
    """

    metric: GuardrailMetric
    required: bool
    allowed: float
    users: int
    days: float | None


@dataclass(frozen=True)
class ShadowPlan:
    """How long shadow takes where no user asks twice, in 8 of 10 rollouts.

    `copies` and `days` until a candidate as good as production has its good answers. `caught`: share of those that fail `WORSE` times as
    often which are rolled back before they have as many.
    """

    copies: int
    days: float
    caught: float


def plan_shadow(policy: Rollout, traffic_per_day: float, error_rate: float) -> ShadowPlan | None:
    """The plan of the phase, None without one. `error_rate` is production's."""
    from scipy.stats import nbinom

    if policy.shadow is None:
        return None
    needed = policy.shadow.min_requests
    copies = needed + int(nbinom.ppf(POWER, needed, 1 - error_rate))
    worse = WORSE * error_rate
    mine, theirs = worse * (1 - error_rate), error_rate * (1 - worse)  # pairs in which one version alone fails
    rng = np.random.default_rng(0)
    number = rng.binomial(copies, mine + theirs, RUNS)
    discordant = np.arange(min(int(number.max()), DISCORDANT_LIMIT)) < number[:, None]
    values, _ = e_paths(rng.random(discordant.shape) < mine / (mine + theirs), discordant, COIN / 100)
    caught = float((values >= pair_limit(policy, "errors")).any(axis=1).mean())
    return ShadowPlan(copies, copies / (traffic_per_day * policy.shadow.sample), caught)


def plan_proofs(policy: Rollout, traffic_per_day: float) -> list[ProofPlan]:
    """One plan per guardrail, at the assumed `RATES` and `FEEDBACK` and the loop's requests per day; none without a canary step."""
    return [_plan_proof(guardrail, policy, traffic_per_day) for guardrail in policy.guardrails if len(policy.steps) > 1]


def _plan_proof(guardrail: Guardrail, policy: Rollout, traffic: float) -> ProofPlan:
    from scipy.stats import norm

    metric, fraction = guardrail.metric, policy.steps[-2] / 100
    scale, allowed = limited_or_margin(guardrail)
    usual = RATES[metric]
    rate = WITHIN if LAPSES[metric] in LIMITED else usual
    part = FEEDBACK if LAPSES[metric] in OF_FEEDBACK else 1.0

    def proved(requests: float) -> bool:
        mine, theirs = requests * part * fraction, requests * part * (1 - fraction)
        if min(mine, theirs) < FEWEST_USERS:
            return False
        noise = (rate * (1 - rate) / mine + usual * (1 - usual) / theirs) ** 0.5
        found = difference(_alike(mine, rate), _alike(theirs, usual), scale, policy.false_promotion)
        return found.bound + float(norm.ppf(POWER)) * noise < allowed

    most = 1.0
    while not proved(most):
        most *= 2
    least = most / 2
    while most / least > 1.01:
        middle = (most * least) ** 0.5
        least, most = (least, middle) if proved(middle) else (middle, most)
    days = most / traffic
    return ProofPlan(metric, guardrail.required, allowed, ceil(most * part * min(fraction, 1 - fraction)), days if days <= YEAR else None)


def _alike(users: float, rate: float) -> LapseCounts:
    """Users with an answer each, of whom a part lapses."""
    answers, lapses = int(users), round(users * rate)
    return LapseCounts(answers, answers, lapses, answers, lapses, lapses, 1)


def e_paths(
    candidate: NDArray[np.bool_],
    failed: NDArray[np.bool_],
    fraction: float,
    start: NDArray[np.float64] | None = None,
    ratios: Mapping[float, float] = RATIOS,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`guardrails.e_value` after each answer of many canaries at once, and the log ratios to continue from at another step.

    Each failure is another user's, all in the first window. `candidate` and `failed` (runs, answers) are those of `CanaryAnswers`,
    `fraction` is the weight, 0 to 1; `start` and the returned log ratios are (runs, ratios).
    """
    values, logs = np.zeros(candidate.shape), []
    for number, (ratio, share) in enumerate(ratios.items()):
        chance = ratio * fraction / (ratio * fraction + 1 - fraction)
        steps = np.where(candidate, log(chance / fraction), log((1 - chance) / (1 - fraction)))
        path = np.where(failed, steps, 0.0).cumsum(axis=1) + (0.0 if start is None else start[:, number, None])
        values += share * np.exp(np.minimum(path, 700.0))
        logs.append(path[:, -1])
    return values, np.stack(logs, axis=1)


def plan_rollout(policy: Rollout, traffic_per_day: float, error_rate: float = 0.01, seed: int = 0) -> list[StepPlan]:
    """One plan per canary step (except the last, which ends the canary), at production's error rate and the loop's requests per day.

    Simulated with a fixed seed and one analysis after every failure, the most frequent case. The collapse rule is left out: it only
    shortens a rollout. Raises InvalidInput without traffic, or if the error rate is not above 0 or times `WORSE` not below 1.
    """
    if not 0 < traffic_per_day <= MOST_TRAFFIC:
        raise InvalidInput(f"{traffic_per_day:g} requests a day cannot be planned with: give a number above 0, at most {MOST_TRAFFIC:g}")
    if not 0 < error_rate * WORSE < 1:
        raise InvalidInput(f"an error rate of {error_rate:g} cannot be planned with: give one between 0 and {1 / WORSE:.2g}")
    weights = policy.steps[:-1]
    chances = _caught(policy, weights, traffic_per_day, error_rate, np.random.default_rng(seed))
    return [_plan_step(policy, weight, traffic_per_day, error_rate, caught, seed) for weight, caught in zip(weights, chances, strict=True)]


def _plan_step(policy: Rollout, weight: int, traffic: float, error_rate: float, caught: float, seed: int) -> StepPlan:
    from scipy.stats import nbinom

    fraction = weight / 100
    total = _requests_to_rollback(policy, fraction, error_rate, np.random.default_rng([seed, weight]))
    good = fraction * (1 - error_rate)
    waits = policy.min_requests + float(nbinom.ppf(POWER, policy.min_requests, good))
    return StepPlan(
        weight,
        None if total is None else ceil(total * fraction),
        None if total is None else total / traffic,
        policy.min_requests + int(nbinom.ppf(POWER, policy.min_requests, 1 - error_rate)),
        max(waits / traffic, policy.interval / DAY),
        caught,
    )


def _requests_to_rollback(policy: Rollout, fraction: float, error_rate: float, rng: np.random.Generator) -> float | None:
    """Requests of both versions until 8 of 10 canaries that fail `WORSE` times as often are rolled back at this weight."""
    mine, failing = _failing(fraction, error_rate)
    limit, logs = rollback_limit(policy), np.zeros((RUNS, len(RATIOS)))
    crossed = np.full(RUNS, np.inf)
    for seen in range(0, FAILURES_LIMIT, _BLOCK):
        open_runs = np.flatnonzero(np.isinf(crossed))
        failed = np.ones((len(open_runs), _BLOCK), dtype=bool)
        values, logs[open_runs] = e_paths(rng.random((len(open_runs), _BLOCK)) < mine, failed, fraction, logs[open_runs])
        over = values >= limit
        crossed[open_runs] = np.where(over.any(axis=1), seen + 1 + over.argmax(axis=1), np.inf)
        if np.isfinite(crossed).mean() > 0.95:  # the others cannot come before the 80 % asked for
            break
    found = crossed[np.isfinite(crossed)]
    if len(found) < POWER * RUNS:
        return None
    requests = np.full(RUNS, np.inf)
    requests[: len(found)] = found + rng.negative_binomial(found, failing)
    return float(np.sort(requests)[ceil(POWER * RUNS) - 1])


def _caught(policy: Rollout, weights: Sequence[int], traffic: float, error_rate: float, rng: np.random.Generator) -> list[float]:
    """Share of the failing candidates rolled back by the end of each step, over whole rollouts."""
    logs, gone, result = np.zeros((RUNS, len(RATIOS))), np.zeros(RUNS, dtype=bool), []
    asked = int(traffic * policy.interval / DAY)
    for weight in weights:
        fraction = weight / 100
        mine, failing = _failing(fraction, error_rate)
        good = fraction * (1 - WORSE * error_rate)
        counts = rng.multinomial(asked, [good, failing, 1 - good - failing], size=RUNS)
        missing = np.maximum(policy.min_requests - counts[:, 0], 0)
        failures = counts[:, 1]
        if policy.on_not_enough_data == "rollback":
            gone |= missing > 0
        else:  # the step goes on until the good answers are there
            failures = failures + np.where(missing > 0, rng.negative_binomial(np.maximum(missing, 1), good / (good + failing)), 0)
        for seen in range(0, min(int(failures.max()), FAILURES_LIMIT), _BLOCK):
            runs = np.flatnonzero(~gone & (failures > seen))
            failed = seen + np.arange(_BLOCK) < failures[runs, None]
            values, logs[runs] = e_paths(rng.random(failed.shape) < mine, failed, fraction, logs[runs])
            gone[runs] = (values >= rollback_limit(policy)).any(axis=1)
        result.append(float(gone.mean()))
    return result


def _failing(fraction: float, error_rate: float) -> tuple[float, float]:
    """When the candidate fails `WORSE` times as often: chance that a failure is its own, and failures per request."""
    own, others = fraction * WORSE * error_rate, (1 - fraction) * error_rate
    return own / (own + others), own + others
