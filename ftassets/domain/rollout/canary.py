"""Whether to hold, ramp, promote or roll back a canary: a pure decision that is valid at any number of ticks."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

from ftassets.config.loop import Rollout
from ftassets.domain.rollout.endpoint import EndpointState

RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
COLLAPSE = 10  # failures in a row: at an equal failure rate of 30 % six of a million windows


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
class RolloutDecision:
    """The next move, the weight it leads to (percent), and why. `e_value` is the evidence that the candidate fails more."""

    move: Move
    weight: int
    reason: str
    e_value: float


def e_value(canary_answers: Sequence[CanaryAnswers]) -> float:
    """Evidence that failures come from the candidate more often than its weight explains.

    Under equal failure rates a failure is the candidate's with probability s. Mixture over rate ratios r of the likelihood
    ratio with p = r s / (r s + 1 - s): an e-process, so Ville's inequality holds at every tick (Ville 1939; Robbins 1970).
    A fault that hits both versions raises both arms and is no evidence.
    """
    logs = [0.0] * len(RATIOS)
    for answer in canary_answers:
        s = answer.weight / 100
        if not answer.failed or not 0 < s < 1:
            continue
        for index, ratio in enumerate(RATIOS):
            p = ratio * s / (ratio * s + 1 - s)
            logs[index] += answer.count * (log(p / s) if answer.candidate else log((1 - p) / (1 - s)))
    return sum(exp(min(value, 700.0)) for value in logs) / len(RATIOS)


def decide(
    state: EndpointState, canary_answers: Sequence[CanaryAnswers], latest: Sequence[CanaryAnswers], policy: Rollout, now: float
) -> RolloutDecision:
    """The next move of a canary; `canary_answers` are all answers since the candidate's first weight, in any order.

    `latest` are those of them since the candidate's last `COLLAPSE` answers began, as `latest_of` finds them.

    Raises ValueError when there is no canary.
    """
    if state.candidate is None:
        raise ValueError("no canary to decide about")
    evidence = e_value(canary_answers)
    if evidence >= 1 / policy.false_rollback:
        return RolloutDecision(
            Move.ROLLBACK,
            0,
            f"the candidate fails more than production: e-value {evidence:.0f}, limit {1 / policy.false_rollback:.0f}",
            evidence,
        )
    if _collapsed(latest):  # a long quiet past must not hide it from the e-value
        return RolloutDecision(
            Move.ROLLBACK, 0, f"the candidate's last {COLLAPSE} answers all failed, most of production's meanwhile did not", evidence
        )
    waited = now - state.since
    if waited < policy.interval:
        return RolloutDecision(
            Move.HOLD, state.weight, f"{waited:.0f} s at {state.weight} %, the step lasts {policy.interval:.0f} s", evidence
        )
    # only good answers at this weight count: neither traffic that stops after a step nor an outage may carry it through the next
    here = [o for o in canary_answers if o.candidate and round(o.weight) == state.weight]
    failed = sum(o.count for o in here if o.failed)
    good = sum(o.count for o in here if not o.failed)
    if good < policy.min_requests:
        reason = f"not enough data: {good} good answers of the candidate at {state.weight} %, {policy.min_requests} are needed"
        if policy.on_not_enough_data == "rollback":
            return RolloutDecision(Move.ROLLBACK, 0, reason, evidence)
        return RolloutDecision(Move.HOLD, state.weight, reason, evidence)
    step = next(step for step in policy.steps if step > state.weight)
    reason = f"{good + failed} answers of the candidate at {state.weight} %, {failed} failed, e-value {evidence:.2g}: next step {step} %"
    return RolloutDecision(Move.RAMP, step, reason, evidence)


def latest_of(canary_answers: Sequence[CanaryAnswers]) -> Sequence[CanaryAnswers]:
    """Of answers one by one, oldest first, those since the candidate's last `COLLAPSE` began; none while it has fewer."""
    mine = [index for index, answer in enumerate(canary_answers) if answer.candidate]
    return canary_answers[mine[-COLLAPSE] :] if len(mine) >= COLLAPSE else []


def _collapsed(latest: Sequence[CanaryAnswers]) -> bool:
    """Whether the candidate's latest answers all failed, and most of production's in the same span did not."""
    mine, theirs = ([answer for answer in latest if answer.candidate is side] for side in (True, False))
    if sum(answer.count for answer in mine) < COLLAPSE or not all(answer.failed for answer in mine):
        return False
    return 2 * sum(answer.count for answer in theirs if answer.failed) <= sum(answer.count for answer in theirs)
