"""Whether to hold, ramp, promote or roll back a canary: a pure decision that is valid at any number of ticks.

Users stay on a version, and failures come from a few users more than from others. So the unit of evidence is a user, not a request: the
hash that gave a user its version is the coin that was tossed, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import exp, log

from ftassets.config.loop import Rollout
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.wording import amount

RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
COLLAPSE = 10  # failures in a row: at an equal failure rate of 30 % six of a million windows
COLLAPSE_USERS = 3  # that they come from at least, where the candidate has had so many: one user's client may be broken
WINDOW = 86_400.0  # seconds: a user counts once from the start of a rollout, and again for what began a day, two days, ... later
FIRST = 0.8  # part of `false_rollback` for what began with the rollout


class Move(StrEnum):
    """What the rollout does next."""

    HOLD = "HOLD"
    RAMP = "RAMP"
    ROLLBACK = "ROLLBACK"


@dataclass(frozen=True)
class CanaryAnswers:
    """Answers during the canary that are alike: are they the candidate's, its weight then (percent), did they fail, how many."""

    candidate: bool
    weight: float
    failed: bool
    count: int = 1


@dataclass(frozen=True)
class Failure:
    """A user's first failure in a window, by the candidate or by production, at this weight of the candidate (percent).

    Without a user: `count` failures of requests that are alike, each with a coin of its own.
    """

    candidate: bool
    weight: float
    user: str = ""
    window: int = 0
    count: int = 1


@dataclass(frozen=True)
class Latest:
    """Answers since the candidate's last `COLLAPSE` began, how many users its own are of, and whether it has had more users."""

    answers: Sequence[CanaryAnswers] = ()
    users: int = 0
    more_users: bool = False


@dataclass(frozen=True)
class CanaryEvidence:
    """What the traffic log has of a canary since the candidate's first weight, in any order."""

    answers: Sequence[CanaryAnswers] = ()
    failures: Sequence[Failure] = ()
    latest: Latest = field(default_factory=Latest)


@dataclass(frozen=True)
class RolloutDecision:
    """The next move, the weight it leads to (percent), and why. `e_value` is the evidence that the candidate fails more."""

    move: Move
    weight: int
    reason: str
    e_value: float


def e_value(failures: Sequence[Failure]) -> float:
    """Evidence that failures come from the candidate more often than its weight explains; `rollback_limit` is its limit.

    Under equal failure rates a user who fails is the candidate's with probability s, since a hash chose the version. Mixture over rate
    ratios r of the likelihood ratio with p = r s / (r s + 1 - s): an e-process, so Ville's inequality holds at every tick (Ville 1939;
    Robbins 1970). A fault that hits both versions raises both arms and is no evidence. A user counts with its first failure alone: its
    later ones are the same toss of the coin. That a candidate which gets worse on its third day is seen all the same, there is one such
    process from the start of each window, each with its part of the error (a union bound, as their coins are the same); the largest
    counts, in units of the first.
    """
    largest, logs, first = 0.0, [0.0] * len(RATIOS), dict[str, Failure]()
    for window in sorted({0, *(failure.window for failure in failures)}, reverse=True):
        for failure in (each for each in failures if each.window == window):
            if failure.user:
                if later := first.get(failure.user):  # of processes that begin earlier, this one is the first
                    _add(logs, later, -1)
                first[failure.user] = failure
            _add(logs, failure, failure.count)
        largest = max(largest, part(window) / FIRST * sum(exp(min(value, 700.0)) for value in logs) / len(RATIOS))
    return largest


def rollback_limit(policy: Rollout) -> float:
    """The e-value from which a candidate is rolled back."""
    return 1 / (policy.false_rollback * FIRST)


def part(window: int) -> float:
    """Of `false_rollback`, for the process that begins with a window; they sum up to 1."""
    return FIRST if window == 0 else (1 - FIRST) / (window * (window + 1))


def _add(logs: list[float], failure: Failure, count: int) -> None:
    s = failure.weight / 100
    if 0 < s < 1:
        for index, ratio in enumerate(RATIOS):
            p = ratio * s / (ratio * s + 1 - s)
            logs[index] += count * (log(p / s) if failure.candidate else log((1 - p) / (1 - s)))


def decide(state: EndpointState, seen: CanaryEvidence, policy: Rollout, now: float) -> RolloutDecision:
    """The next move of a canary. Raises ValueError when there is no canary."""
    if state.candidate is None:
        raise ValueError("no canary to decide about")
    evidence, limit = e_value(seen.failures), rollback_limit(policy)
    if evidence >= limit:
        why = f"the candidate fails for more users than production: e-value {evidence:.0f}, limit {limit:.0f}"
        return RolloutDecision(Move.ROLLBACK, 0, why, evidence)
    if _collapsed(seen.latest):  # a long quiet past must not hide it from the e-value
        return RolloutDecision(
            Move.ROLLBACK, 0, f"the candidate's last {COLLAPSE} answers all failed, most of production's meanwhile did not", evidence
        )
    waited = now - state.since
    if waited < policy.interval:
        return RolloutDecision(
            Move.HOLD, state.weight, f"{waited:.0f} s at {state.weight} %, the step lasts {policy.interval:.0f} s", evidence
        )
    # only good answers at this weight count: neither traffic that stops after a step nor an outage may carry it through the next
    here = [o for o in seen.answers if o.candidate and round(o.weight) == state.weight]
    failed = sum(o.count for o in here if o.failed)
    good = sum(o.count for o in here if not o.failed)
    if good < policy.min_requests:
        reason = f"not enough data: {good} good answers of the candidate at {state.weight} %, {policy.min_requests} are needed"
        if policy.on_not_enough_data == "rollback":
            return RolloutDecision(Move.ROLLBACK, 0, reason, evidence)
        return RolloutDecision(Move.HOLD, state.weight, reason, evidence)
    step = next(step for step in policy.steps if step > state.weight)
    reason = (
        f"{amount(good + failed, 'answer')} of the candidate at {state.weight} %, "
        f"{failed} failed, e-value {evidence:.2g}: next step {step} %"
    )
    return RolloutDecision(Move.RAMP, step, reason, evidence)


def one_by_one(canary_answers: Sequence[CanaryAnswers]) -> CanaryEvidence:
    """The evidence of answers one by one, oldest first, each to a request without a user."""
    mine = [index for index, answer in enumerate(canary_answers) if answer.candidate]
    latest = Latest(canary_answers[mine[-COLLAPSE] :], COLLAPSE) if len(mine) >= COLLAPSE else Latest()
    failures = [Failure(answer.candidate, answer.weight, count=answer.count) for answer in canary_answers if answer.failed]
    return CanaryEvidence(canary_answers, failures, latest)


def _collapsed(latest: Latest) -> bool:
    """Whether the candidate's latest answers all failed, and most of production's in the same span did not."""
    mine, theirs = ([answer for answer in latest.answers if answer.candidate is side] for side in (True, False))
    if sum(answer.count for answer in mine) < COLLAPSE or not all(answer.failed for answer in mine):
        return False
    if latest.users < COLLAPSE_USERS and latest.more_users:
        return False
    return 2 * sum(answer.count for answer in theirs if answer.failed) <= sum(answer.count for answer in theirs)
