"""Whether to train again: one decision from the state of a loop, with its trigger and reason, stored so that it can be made again."""

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ftassets.config.loop import LoopConfig, RetrainOn
from ftassets.domain import formats
from ftassets.domain.canonical import canonical_json, parse_json
from ftassets.domain.traffic.retention import DAY
from ftassets.errors import InvalidInput, in_one_line
from ftassets.wording import amount, span

QUARTER = 91 * 86400.0  # seconds
ATTEMPTS = 5  # a run whose process dies this often needs a person
FIRST_RETRY = 600.0  # seconds after which a run that failed for another reason than a verdict is tried again; four times that the next time
MORE = 0.1  # share of the labels that a training which was refused must not have seen: with fewer, the same would be trained again
MARGIN = 0.1  # by which a longer window is advised than the rate of labels asks for, which is an estimate


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
    FAILED = "failed"
    COOLDOWN = "cooldown"
    BUDGET = "budget"
    COST = "cost"
    NOTHING_NEW = "nothing_new"
    FEW_LABELS = "few_labels"
    OBSERVE = "observe"


@dataclass(frozen=True)
class Situation:
    """Input of the decision. Times in epoch seconds; "since" means since the newest retrain that ran its course.

    `alarms` are the newest drift reports' in a row, None without a report; `novelty_share` (0..1) is the newest report's.
    `schedule_due_at` is when the next scheduled retrain falls due, None without a schedule or a version to count from.
    `quality` and `quality_baseline` (0..1) are of the newest quality report about production.
    `seconds_per_row` is what the newest training took for each of its rows, `expected_rows` how many the next one would have.
    `new_labels` are usable labels that the version in production was not trained on, `untried_labels` those of them that no training
    was made with. Corrections come at `labels_per_day`, and are taken until `labels_expire` seconds after the request (None: not known).
    `unusable_labels` says in words what else came, and why it does not count. A run that died or failed took no labels.
    `over_budget` says why no run may start by what runs cost, None if one may.
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
    untried_labels: int
    labels_per_day: float | None
    labels_expire: float | None
    unusable_labels: str
    failed: int  # runs in a row that failed or were cancelled without a verdict, since
    failed_at: float | None  # when the newest of them ended
    over_budget: str | None


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
    if s.untried_labels < MORE * s.new_labels and Trigger.FEEDBACK not in fired:
        reason = (
            f"the newest training had all but {s.untried_labels} of the {amount(s.new_labels, 'label')} "
            "that production was not trained on, and no "
            f"version of it serves: the {_pending(trigger)} stays pending until a tenth of them are newer. {_batch(s, loop)}"
        )
        return RetrainDecision(Action.WAIT, trigger, Cause.NOTHING_NEW, reason)
    # who asks for a retrain at so many labels has said that they are enough
    if s.new_labels < policy.min_new_labels and Trigger.FEEDBACK not in fired:
        told = "; ".join(filter(None, [forecast(s, policy), s.unusable_labels and f"not counted: {s.unusable_labels}"]))
        reason = (
            f"{s.new_labels} new labelled answers, {policy.min_new_labels} are needed{told and f' ({told})'}; "
            f"the {_pending(trigger)} stays pending: {_batch(s, loop)}"
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
    if policy.feedback is not None and s.untried_labels >= policy.feedback:
        fired[Trigger.FEEDBACK] = f"the {amount(policy.feedback, 'label')} a retrain is asked for at are there"
    if s.schedule_due_at is not None and s.now >= s.schedule_due_at:
        fired[Trigger.SCHEDULE] = f"a scheduled retrain ({policy.schedule}) is due since {span(s.now - s.schedule_due_at)}"
    return fired


def _quiet(s: Situation, policy: RetrainOn) -> str:
    """How far each trigger is from asking for a retrain."""
    if s.alarms is None:
        parts = ["no drift report yet"]
    elif s.alarms == 0:
        parts = ["the newest drift report raises no alarm"]
    else:
        parts = [f"{amount(s.alarms, 'alarm')} in a row, {policy.drift.consecutive} are needed"]
    if policy.quality_drop is not None:
        known = s.quality is not None and s.quality_baseline is not None
        parts.append(
            f"quality {s.quality:.3f}, baseline {s.quality_baseline:.3f}" if known else "no lasting drop of live quality is proved"
        )
    if policy.feedback is not None:
        parts.append(f"{s.untried_labels} new labelled answers of {policy.feedback}")
    if s.schedule_due_at is not None:
        parts.append(f"the next scheduled retrain is due in {span(s.schedule_due_at - s.now)}")
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
        return Cause.DIED, f"the run's process died {amount(s.died, 'time')}: check the runs, then {by_hand}"
    if s.failed_at is not None and (left := s.failed_at + retry_after(s.failed, policy.cooldown) - s.now) > 0:
        runs = "the last run" if s.failed == 1 else f"the last {amount(s.failed, 'run')}"
        reason = (
            f"{runs} failed or ended without a verdict, and took no labels: tried again in {span(left)}; "
            f"to stop that, run: ftassets pause {loop.name}"
        )
        return Cause.FAILED, reason
    if s.last_retrain_at is not None and s.now - s.last_retrain_at < policy.cooldown:
        return Cause.COOLDOWN, f"cooling down for another {span(policy.cooldown - (s.now - s.last_retrain_at))}"
    if policy.max_retrains is not None and s.retrains_in_quarter >= policy.max_retrains:
        spent = f"{s.retrains_in_quarter} retrains in the last 91 days, max_retrains is {policy.max_retrains}"
        return Cause.BUDGET, f"{spent}: a person may {by_hand}"
    if s.over_budget is not None:
        return Cause.COST, s.over_budget
    return None


def _pending(trigger: Trigger) -> str:
    return "drift alarm" if trigger is Trigger.DRIFT else f"{trigger.value} trigger"


def retry_after(failed: int, cooldown: float) -> float:
    """Seconds after the newest of so many runs in a row that failed before the next one starts: at most the cooldown, never at once."""
    return min(FIRST_RETRY * 4.0 ** min(failed - 1, 20), max(cooldown, FIRST_RETRY))


def forecast(s: Situation, policy: RetrainOn) -> str:
    """How fast corrections come, and when there will be enough of them, in words; empty when it is not known."""
    if s.labels_per_day is None or s.labels_expire is None:
        return ""
    life = f"they expire after {s.labels_expire / DAY:.0f} days"
    if s.labels_per_day == 0:
        return "no usable correction came"
    rate = f"{s.labels_per_day:.2g} labels a day" if s.labels_per_day < 10 else f"{s.labels_per_day:.0f} labels a day"
    if not reachable(s, policy):
        return f"{rate}; {life}, so there are never more than {s.labels_per_day * s.labels_expire / DAY:.0f} at once"
    days = max(policy.min_new_labels - s.new_labels, 0) / s.labels_per_day
    return f"{rate}; {policy.min_new_labels} in {days:.0f} days; {life}"


def reachable(s: Situation, policy: RetrainOn) -> bool:
    """Whether corrections come fast enough to be `min_new_labels` before the first of them expires; True while that is not known."""
    if s.labels_per_day is None or s.labels_expire is None:
        return True
    return s.labels_per_day * s.labels_expire / DAY >= policy.min_new_labels


def _batch(s: Situation, loop: LoopConfig | Policy) -> str:
    """What a person can do about few labels."""
    policy = loop.retrain_on
    missing = max(policy.min_new_labels - s.new_labels, math.ceil(MORE * policy.min_new_labels), 1)
    ways = [f"offer a labelling batch (ftassets label export {loop.name} --out batch.jsonl --limit {missing})"]
    if not reachable(s, policy) and s.labels_per_day:
        ways.append(f"raise dataset.production_window to {math.ceil((1 + MARGIN) * policy.min_new_labels / s.labels_per_day)}d")
    ways.append(f"lower min_new_labels (ftassets plan {loop.name} says what gates can tell with fewer rows)")
    return ", ".join(ways[:-1]) + f", or {ways[-1]}"


def expected_rows(new_labels: int, loop: LoopConfig) -> int:
    """Rows the next training would have: the labels' share of the train split, with the known rows replayed for each."""
    return round(new_labels * loop.dataset.split[0] * (1 + loop.train.replay))


def estimate(s: Situation) -> str | None:
    """Cost against expected gain in words, from what was measured only; None when neither was."""
    cost = f"about {span(s.seconds_per_row * s.expected_rows)} of training" if s.seconds_per_row is not None else None
    gain = f"{s.novelty_share:.0%} new queries" if s.novelty_share is not None else None
    return " against ".join(filter(None, [cost, gain])) or None


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
