"""Whether to train again: one decision from the state of a loop, with its reason."""

from dataclasses import dataclass
from enum import StrEnum

from ftassets.domain.loop import LoopConfig


class Action(StrEnum):
    """RETRAIN now, WAIT (the alarm stays pending), or NO."""

    RETRAIN = "RETRAIN"
    WAIT = "WAIT"
    NO = "NO"


@dataclass(frozen=True)
class Situation:
    """What the decision looks at. Times in epoch seconds; `alarms` are the newest drift reports' in a row."""

    now: float
    alarms: int
    new_labels: int
    last_retrain_at: float | None
    retrain_running: bool
    rollout_running: bool
    paused: str | None


@dataclass(frozen=True)
class RetrainDecision:
    """What to do and why."""

    action: Action
    reason: str


def should_retrain(situation: Situation, loop: LoopConfig) -> RetrainDecision:
    """Decide on a drift alarm, in the order of what most often stands against a retrain."""
    policy, s = loop.retrain_on, situation
    if s.alarms == 0:
        return RetrainDecision(Action.NO, "the newest drift report raises no alarm")
    if s.alarms < policy.drift.consecutive:
        return RetrainDecision(Action.NO, f"{s.alarms} alarm in a row, {policy.drift.consecutive} are needed")
    if s.paused is not None:
        return RetrainDecision(Action.WAIT, f"the loop is paused: {s.paused}")
    if s.retrain_running:
        return RetrainDecision(Action.WAIT, "a retrain of this loop is under way")
    if s.rollout_running:
        return RetrainDecision(Action.WAIT, "a rollout of this loop is under way")
    if s.new_labels < policy.min_new_labels:
        return RetrainDecision(
            Action.WAIT,
            f"{s.new_labels} new labelled answers, {policy.min_new_labels} are needed: collect corrections or lower min_new_labels",
        )
    if s.last_retrain_at is not None and s.now - s.last_retrain_at < policy.cooldown:
        left = policy.cooldown - (s.now - s.last_retrain_at)
        return RetrainDecision(Action.WAIT, f"cooling down for another {left / 3600:.1f} h")
    if loop.mode == "observe":
        return RetrainDecision(Action.NO, "would retrain now, but the loop only observes: set mode to propose or auto")
    return RetrainDecision(Action.RETRAIN, f"{s.alarms} drift alarms in a row and {s.new_labels} new labelled answers")
