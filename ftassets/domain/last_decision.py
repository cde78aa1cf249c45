"""The newest decision on a retrain, as status and metrics show it; the ones that changed something are stored as reports."""

from typing import ClassVar

from pydantic import ConfigDict

from ftassets.domain.formats import Stored
from ftassets.domain.retrain import RetrainDecision, Situation

KEPT = 600.0  # seconds for which the stored one may be older than the sensor's newest tick while it says the same


class LastDecision(Stored):
    """What the retrain sensor decided at `at`, why, and the figures it rests on. Times in epoch seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "last_decision"

    at: float
    action: str
    trigger: str | None
    cause: str
    reason: str
    new_labels: int
    untried_labels: int
    labels_per_day: float | None
    retrains_in_quarter: int
    schedule_due_at: float | None


def last_decision(decision: RetrainDecision, situation: Situation) -> LastDecision:
    """The document of a decision."""
    return LastDecision(
        at=situation.now,
        action=decision.action.value,
        trigger=decision.trigger and decision.trigger.value,
        cause=decision.cause.value,
        reason=decision.reason,
        new_labels=situation.new_labels,
        untried_labels=situation.untried_labels,
        labels_per_day=situation.labels_per_day,
        retrains_in_quarter=situation.retrains_in_quarter,
        schedule_due_at=situation.schedule_due_at,
    )


def is_news(known: LastDecision | None, found: LastDecision) -> bool:
    """Whether the stored decision has to be replaced: it says something else, or is old."""
    if known is None or found.at - known.at >= KEPT:
        return True
    changing = {"at", "reason", "labels_per_day"}  # with every tick
    return known.model_dump(exclude=changing) != found.model_dump(exclude=changing)
