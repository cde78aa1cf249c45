"""A trigger that waits: since when, and when a notice is due, once that it waits and once that it is over."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import ConfigDict

from ftassets.domain.formats import Stored
from ftassets.domain.retrain import Action, Cause, RetrainDecision
from ftassets.wording import span

OWN = {Cause.COOLDOWN, Cause.RETRAIN_RUNNING, Cause.ROLLOUT_RUNNING}  # these end by themselves: the policy said so, or work is under way
STEP = 3600.0  # seconds: what is stored is that exact, and a notice that could not be sent is sent again so much later


class Waiting(Stored):
    """What a loop's trigger waits for; times in epoch seconds.

    `tried_at` is when people were last to be told, `told` that they were. `reason` is at most an hour older than `seen`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "waiting"

    trigger: str
    cause: str
    reason: str
    since: float
    seen: float
    told: bool = False
    tried_at: float | None = None


@dataclass(frozen=True)
class Notice:
    """What to tell people."""

    subject: Literal["waits", "over"]
    title: str
    text: str


def waits(decision: RetrainDecision) -> bool:
    """Whether a trigger waits for labels or a person, and not only for time or for work that is under way."""
    return decision.action is Action.WAIT and decision.cause not in OWN


def after(known: Waiting | None, decision: RetrainDecision, now: float, notify_after: float) -> Waiting | None:
    """What is known after a decision, None when nothing waits.

    A trigger that is gone is forgotten only when it stays gone for `notify_after` seconds: an alarm that comes and goes is one.
    """
    if waits(decision):
        trigger, cause = str(decision.trigger), str(decision.cause)
        if known is None:
            return Waiting(trigger=trigger, cause=cause, reason=decision.reason, since=now, seen=now)
        if now - known.seen >= STEP or (trigger, cause) != (known.trigger, known.cause):
            return known.model_copy(update={"trigger": trigger, "cause": cause, "reason": decision.reason, "seen": now})
        return known
    if known is None or decision.action is Action.RETRAIN or decision.cause is Cause.OBSERVE:
        return None
    if decision.action is Action.WAIT:
        return known.model_copy(update={"seen": now}) if now - known.seen >= STEP else known
    return known if now - known.seen < notify_after else None


def notice(known: Waiting | None, left: Waiting | None, decision: RetrainDecision, now: float, notify_after: float) -> Notice | None:
    """The notice that is due between what was known and what is left: once that a trigger waits too long, and once that it is over."""
    if left is None:
        if known is None or not known.told:
            return None
        started = decision.action is Action.RETRAIN
        how = f"a retrain starts: {decision.reason}" if started else f"the {known.trigger} trigger waits no longer: {decision.reason}"
        return Notice("over", f"the {known.trigger} trigger waited {span(now - known.since)}, and does not any more", how)
    if left.told or not waits(decision) or now - left.since < notify_after:
        return None
    if left.tried_at is not None and now - left.tried_at < STEP:
        return None
    return Notice("waits", f"the {left.trigger} trigger has waited for {span(now - left.since)}: no retrain starts", decision.reason)
