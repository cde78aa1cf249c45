"""Whether to train again: one decision from the state of a loop, with its trigger and reason, stored so that it can be made again."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftassets.config.loop import LoopConfig, RetrainOn
from ftassets.domain import formats
from ftassets.domain.canonical import canonical_json, parse_json
from ftassets.errors import InvalidInput, in_one_line

QUARTER = 91 * 86400.0  # seconds
ATTEMPTS = 5  # a run whose process dies this often needs a person


class Action(StrEnum):
    """RETRAIN now, WAIT (the trigger stays pending), or NO."""

    RETRAIN = "RETRAIN"
    WAIT = "WAIT"
    NO = "NO"


class Trigger(StrEnum):
    """What asks for a retrain; of several the first in this order gives the run its name."""

    DRIFT = "drift"
    QUALITY = "quality"
    FEEDBACK = "feedback"
    SCHEDULE = "schedule"


class Cause(StrEnum):
    """Stable reason code, without numbers."""

    READY = "ready"
    NO_TRIGGER = "no_trigger"
    PAUSED = "paused"
    RETRAIN_RUNNING = "retrain_running"
    ROLLOUT_RUNNING = "rollout_running"
    DIED = "died"
    COOLDOWN = "cooldown"
    BUDGET = "budget"
    NOTHING_NEW = "nothing_new"
    FEW_LABELS = "few_labels"
    OBSERVE = "observe"


@dataclass(frozen=True)
class Situation:
    """Input of the decision. Times in epoch seconds; "since" means since the newest retrain.

    `alarms` are the newest drift reports' in a row, None without a report; `novelty_share` (0..1) is the newest report's.
    `schedule_due_at` is when the next scheduled retrain falls due, None without a schedule or a version to count from.
    `quality` and `quality_baseline` (0..1) are of the newest quality report about production.
    `seconds_per_row` is what the newest training took for each of its rows, `expected_rows` how many the next one would have.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # of a stored one

    now: float
    alarms: int | None
    novelty_share: float | None
    new_labels: int
    schedule_due_at: float | None
    quality: float | None
    quality_baseline: float | None
    last_retrain_at: float | None
    retrains_in_quarter: int
    died: int  # runs in a row whose process died, since
    retrain_running: bool
    rollout_running: bool
    paused: str | None
    seconds_per_row: float | None
    expected_rows: int


@dataclass(frozen=True)
class RetrainDecision:
    """What to do, what asked for it (None: nothing did), and why."""

    action: Action
    trigger: Trigger | None
    cause: Cause
    reason: str


class Policy(BaseModel):
    """The part of a loop that decides on its retrains."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    mode: Literal["observe", "propose", "auto"]
    retrain_on: RetrainOn


class _Record(BaseModel):
    """What a stored decision must have to be made again."""

    situation: Situation
    policy: Policy


def should_retrain(situation: Situation, loop: LoopConfig | Policy) -> RetrainDecision:
    """Decide: what asks for a retrain, then what stands against it, then whether there is enough to learn from."""
    policy, s = loop.retrain_on, situation
    fired = _fired(s, policy)
    if not fired:
        return RetrainDecision(Action.NO, None, Cause.NO_TRIGGER, _quiet(s, policy))
    trigger = next(iter(fired))
    if against := _against(s, loop):
        cause, reason = against
        return RetrainDecision(Action.WAIT, trigger, cause, reason)
    if s.new_labels == 0 and list(fired) == [Trigger.SCHEDULE]:
        return RetrainDecision(
            Action.NO, trigger, Cause.NOTHING_NEW, f"{fired[trigger]}, but no answer was labelled since: nothing to learn"
        )
    # who asks for a retrain at so many labels has said that they are enough
    if s.new_labels < policy.min_new_labels and Trigger.FEEDBACK not in fired:
        reason = (
            f"{s.new_labels} new labelled answers, {policy.min_new_labels} are needed; the {_pending(trigger)} stays pending: "
            f"offer a labelling batch (ftassets label export {loop.name}), collect corrections, or lower min_new_labels"
        )
        return RetrainDecision(Action.WAIT, trigger, Cause.FEW_LABELS, reason)
    reason = "; ".join(filter(None, [*fired.values(), f"{s.new_labels} new labelled answers", estimate(s)]))
    if loop.mode == "observe":
        reason = f"would retrain now ({reason}), but the loop only observes: set mode to propose or auto"
        return RetrainDecision(Action.NO, trigger, Cause.OBSERVE, reason)
    return RetrainDecision(Action.RETRAIN, trigger, Cause.READY, reason)


def _fired(s: Situation, policy: RetrainOn) -> dict[Trigger, str]:
    """What asks for a retrain, each in words."""
    fired = {}
    if s.alarms is not None and s.alarms >= policy.drift.consecutive:
        fired[Trigger.DRIFT] = f"{s.alarms} drift alarms in a row" if s.alarms > 1 else "1 drift alarm"
    if policy.quality_drop is not None and s.quality is not None and s.quality_baseline is not None:
        drop = s.quality_baseline - s.quality
        if drop >= policy.quality_drop:
            fired[Trigger.QUALITY] = f"quality {s.quality:.3f} is {drop:.3f} below its baseline {s.quality_baseline:.3f}"
    if policy.feedback is not None and s.new_labels >= policy.feedback:
        fired[Trigger.FEEDBACK] = f"the {policy.feedback} labels a retrain is asked for at are there"
    if s.schedule_due_at is not None and s.now >= s.schedule_due_at:
        fired[Trigger.SCHEDULE] = f"a scheduled retrain ({policy.schedule}) is due since {_span(s.now - s.schedule_due_at)}"
    return fired


def _quiet(s: Situation, policy: RetrainOn) -> str:
    """How far each trigger is from asking for a retrain."""
    if s.alarms is None:
        parts = ["no drift report yet"]
    elif s.alarms == 0:
        parts = ["the newest drift report raises no alarm"]
    else:
        parts = [f"{s.alarms} {'alarm' if s.alarms == 1 else 'alarms'} in a row, {policy.drift.consecutive} are needed"]
    if policy.quality_drop is not None:
        known = s.quality is not None and s.quality_baseline is not None
        parts.append(f"quality {s.quality:.3f}, baseline {s.quality_baseline:.3f}" if known else "no quality report with a baseline yet")
    if policy.feedback is not None:
        parts.append(f"{s.new_labels} new labelled answers of {policy.feedback}")
    if s.schedule_due_at is not None:
        parts.append(f"the next scheduled retrain is due in {_span(s.schedule_due_at - s.now)}")
    return "; ".join(parts)


def _against(s: Situation, loop: LoopConfig | Policy) -> tuple[Cause, str] | None:
    """What stands against a retrain that something asks for."""
    policy, by_hand = loop.retrain_on, f"start the job {loop.name}__retrain by hand"
    if s.paused is not None:
        return Cause.PAUSED, f"the loop is paused: {s.paused}"
    if s.retrain_running:
        return Cause.RETRAIN_RUNNING, "a retrain of this loop is under way"
    if s.rollout_running:
        return Cause.ROLLOUT_RUNNING, "a rollout of this loop is under way"
    if s.died >= ATTEMPTS:
        return Cause.DIED, f"the run's process died {s.died} times: check the runs, then {by_hand}"
    if s.last_retrain_at is not None and s.now - s.last_retrain_at < policy.cooldown:
        return Cause.COOLDOWN, f"cooling down for another {_span(policy.cooldown - (s.now - s.last_retrain_at))}"
    if policy.max_retrains is not None and s.retrains_in_quarter >= policy.max_retrains:
        spent = f"{s.retrains_in_quarter} retrains in the last 91 days, max_retrains is {policy.max_retrains}"
        return Cause.BUDGET, f"{spent}: a person may {by_hand}"
    return None


def _pending(trigger: Trigger) -> str:
    return "drift alarm" if trigger is Trigger.DRIFT else f"{trigger.value} trigger"


def expected_rows(new_labels: int, loop: LoopConfig) -> int:
    """Rows the next training would have: the labels' share of the train split, with the known rows replayed for each."""
    return round(new_labels * loop.dataset.split[0] * (1 + loop.train.replay))


def estimate(s: Situation) -> str | None:
    """Cost against expected gain in words, from what was measured only; None when neither was."""
    cost = f"about {_span(s.seconds_per_row * s.expected_rows)} of training" if s.seconds_per_row is not None else None
    gain = f"{s.novelty_share:.0%} new queries" if s.novelty_share is not None else None
    return " against ".join(filter(None, [cost, gain])) or None


def _span(seconds: float) -> str:
    """A duration in the unit a person would use."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def record(situation: Situation, loop: LoopConfig | Policy) -> bytes:
    """The decision with all it was made from, as canonical JSON: `{"situation", "policy", "decision"}`."""
    # validated once more: a default may be an int where the field is a float, and would be read back as one
    policy = Policy.model_validate({"name": loop.name, "mode": loop.mode, "retrain_on": loop.retrain_on.model_dump(mode="json")})
    decision = should_retrain(situation, policy)
    content = {"situation": asdict(situation), "policy": policy.model_dump(mode="json"), "decision": asdict(decision)}
    return canonical_json(formats.stamp("retrain_decision", content))


def replay(stored: bytes) -> bytes:
    """The record recomputed from its situation and policy: the same bytes, unless the rule has changed since.

    Raises InvalidInput, which names the fields, for an invalid record or one with the fields of another release.
    """
    try:
        found = formats.read("retrain_decision", parse_json(stored))
        _Record.model_validate_json(canonical_json(found))
        # from the stored values: a checked copy may have a float where an int is stored
        situation = Situation(**found["situation"])
        policy = Policy.model_validate(found["policy"])
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"this is not a decision that this version can make again: {in_one_line(error)}") from None
    return record(situation, policy)
