"""Whether a canary holds, grows, is promoted or goes back: one pure decision, valid however often it is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import exp, log

from ftassets.domain.endpoint import EndpointState
from ftassets.domain.loop import Rollout

RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)


class Move(StrEnum):
    """What the rollout does next."""

    HOLD = "HOLD"
    RAMP = "RAMP"
    ROLLBACK = "ROLLBACK"


@dataclass(frozen=True)
class Outcome:
    """One answer during the canary, oldest first: was it the candidate's, the candidate's share then (0..1), did it fail."""

    candidate: bool
    share: float
    failed: bool


@dataclass(frozen=True)
class RolloutDecision:
    """The next move, the weight it leads to (percent), and why. `e_value` is the evidence that the candidate fails more."""

    move: Move
    weight: int
    reason: str
    e_value: float


def e_value(outcomes: Sequence[Outcome]) -> float:
    """Evidence that failures come from the candidate more often than its share of the traffic explains.

    Under equal failure rates a failure is the candidate's with probability s. Mixture over rate ratios r of the likelihood
    ratio with p = r s / (r s + 1 - s): an e-process, so Ville's inequality holds at every look (Ville 1939; Robbins 1970).
    A fault that hits both versions raises both arms and is no evidence.
    """
    logs = [0.0] * len(RATIOS)
    for outcome in outcomes:
        s = outcome.share
        if not outcome.failed or not 0 < s < 1:
            continue
        for index, ratio in enumerate(RATIOS):
            p = ratio * s / (ratio * s + 1 - s)
            logs[index] += log(p / s) if outcome.candidate else log((1 - p) / (1 - s))
    return sum(exp(min(value, 700.0)) for value in logs) / len(RATIOS)


def decide(state: EndpointState, outcomes: Sequence[Outcome], policy: Rollout, now: float) -> RolloutDecision:
    """The next move of a canary; `outcomes` are all answers since the candidate's first share.

    Raises ValueError when there is no canary.
    """
    if state.candidate is None:
        raise ValueError("no canary to decide about")
    evidence = e_value(outcomes)
    if evidence >= 1 / policy.false_rollback:
        return RolloutDecision(
            Move.ROLLBACK,
            0,
            f"the candidate fails more than production: e-value {evidence:.0f}, limit {1 / policy.false_rollback:.0f}",
            evidence,
        )
    mine = [o for o in outcomes if o.candidate]
    # a collapse needs no comparison: stop at once
    last = mine[-10:]
    if sum(o.failed for o in mine) >= 5 and sum(o.failed for o in last) > len(last) / 2:
        return RolloutDecision(
            Move.ROLLBACK, 0, f"{sum(o.failed for o in last)} of the candidate's last {len(last)} answers failed", evidence
        )
    waited = now - state.since
    if waited < policy.interval:
        return RolloutDecision(
            Move.HOLD, state.weight, f"{waited:.0f} s at {state.weight} %, the step lasts {policy.interval:.0f} s", evidence
        )
    if len(mine) < policy.min_requests:
        reason = f"not enough data: {len(mine)} answers of the candidate, {policy.min_requests} are needed"
        if policy.on_not_enough_data == "rollback":
            return RolloutDecision(Move.ROLLBACK, 0, reason, evidence)
        return RolloutDecision(Move.HOLD, state.weight, reason, evidence)
    step = next(step for step in policy.steps if step > state.weight)
    failed = sum(o.failed for o in mine)
    return RolloutDecision(
        Move.RAMP, step, f"{len(mine)} answers of the candidate, {failed} failed, e-value {evidence:.2g}: next step {step} %", evidence
    )
