"""From a drift alarm, a date, feedback or a fall of quality to a retrain, when nothing speaks against it."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import dagster as dg

from ftassets.assets._shared.drift_windows import windows
from ftassets.assets._shared.events import data_version, history, metadata_value, names, newest, node
from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.stored_reports import DRIFT_REPORT
from ftassets.automation import runs
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.automation.label_count import Count, LabelCounter, Read, read_by_newest
from ftassets.automation.schedules import next_retrain
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.reports import addressed, store_report
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.control.base import Control
from ftassets.backends.control.health import read_decision, write_decision
from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.control.shadow import add_shadow, read_shadow
from ftassets.backends.control.spending import budget_now
from ftassets.backends.control.waiting import read_waiting, write_waiting
from ftassets.backends.dataset_store.base import DatasetError, DatasetStore
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain import retrain, shadow, waiting
from ftassets.domain.drift.alarms import alarms_in_a_row
from ftassets.domain.formats import NewerFormat
from ftassets.domain.last_decision import LastDecision, is_news, last_decision
from ftassets.domain.retrain import QUARTER, Action, Cause, RetrainDecision, Situation, should_retrain
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.shadow import ShadowRetrain
from ftassets.domain.spending.cycles import MAKING

REASON, DECISION = "ftassets/reason", "ftassets/decision"


def build(loop: LoopConfig, clock: Callable[[], float] | None = None) -> dg.SensorDefinition:
    """A sensor that evaluates `should_retrain` at each tick, and stores a decision when its cause changes; it is now as a `clock` says.

    Raises ValueError for an invalid schedule, when definitions load and not at every tick.
    """
    if loop.retrain_on.schedule is not None:
        next_retrain(loop.retrain_on.schedule, 0.0, loop.timezone)

    counter = LabelCounter(loop)

    @dg.sensor(
        name=f"{loop.name}__retrain",
        job_name=retrain_job_name(loop.name),
        minimum_interval_seconds=int(loop.sensor_interval),
        default_status=runs.status(loop),
        description="Starts a retrain on drift alarms, feedback, a fall of quality or by schedule, or says why not.",
    )
    @with_signature
    def retrain_when_due(
        context: dg.SensorEvaluationContext,
        artifacts: dg.ResourceParam[Artifacts],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
        dataset_store: dg.ResourceParam[DatasetStore],
        serving: dg.ResourceParam[Serving],
        notifier: dg.ResourceParam[Notifier],
    ) -> dg.SensorResult | dg.SkipReason:
        instance, now = context.instance, clock() if clock else time.time()
        ran = runs.retrain_history(instance, loop.name)
        last = ran.last
        try:
            state = serving.state(loop.name)
            if state.production is None:
                return dg.SkipReason("no version is in production: the bootstrap sensor makes the first one")
            tried = read_by_newest(instance, dataset_store, loop.name, last.end_time or now) if last else None
            ledger = read_shadow(control, loop.name) if loop.mode == "observe" else []
            learnt = Read(ledger[-1].at, ledger[-1].labels_commit) if ledger else None
            labels = counter.count(artifacts, traffic_log, dataset_store, state.production, tried, now, learnt)
        except (ServingError, DatasetError, VersionDamaged, ValueError) as error:
            return dg.SkipReason(str(error))
        balance = budget_now(control, loop, MAKING, now)
        situation = observe(
            instance, loop, state, labels, ran, pause_reason(control, loop.name), now, ledger, balance.why if balance else None
        )
        decision = should_retrain(situation, loop)
        if decision.cause is Cause.OBSERVE:
            made = ShadowRetrain(
                at=now,
                trigger=str(decision.trigger),
                reason=decision.reason,
                new_labels=labels.new,
                labels_commit=dataset_store.resolve("main"),
            )
            add_shadow(control, loop.name, made)
        _tell_of_waiting(context, loop, control, notifier, decision, now)
        _show(context, control, loop.name, last_decision(decision, situation))
        # after a retrain that ran its course there is one more that starts by itself, tried again while it ends without a verdict
        run_key = f"{last.dagster_run.run_id if last else 'first'}:{ran.attempts}"
        kind = f"{decision.action}:{decision.cause}:{decision.trigger}" + (f":{run_key}" if decision.action is Action.RETRAIN else "")
        content = json.loads(retrain.record(situation, loop))
        if kind != context.cursor:
            digest = store_report(artifacts, loop.name, "decision", content)
        else:
            digest = addressed(loop.name, "decision", content).digest
        if decision.action is not Action.RETRAIN:
            trigger = f" ({decision.trigger})" if decision.trigger else ""
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{decision.action}{trigger}: {decision.reason}"), cursor=kind)
        tags = {TRIGGER: str(decision.trigger), REASON: decision.reason, DECISION: digest}
        if report := newest(instance, node(loop.name, "drift_report")):
            tags[DRIFT_REPORT] = data_version(report)
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=run_key, tags=tags)], cursor=kind)

    return retrain_when_due


def _tell_of_waiting(
    context: dg.SensorEvaluationContext, loop: LoopConfig, control: Control, notifier: Notifier, decision: RetrainDecision, now: float
) -> None:
    """Tell people once when a trigger waits too long, and once when that is over. It holds no retrain up."""
    try:
        known, allowed = read_waiting(control, loop.name), loop.retrain_on.notify_after
        left = waiting.after(known, decision, now, allowed)
        if told := waiting.notice(known, left, decision, now, allowed):
            alert = alert_about(loop, "retrain-waits", told.title, told.text, resolved=told.subject == "over")
            sent = routed(control, loop, notifier).notify(alert)
            if left is not None:
                left = left.model_copy(update={"told": sent, "tried_at": now})
        if left != known:
            write_waiting(control, loop.name, left)
    except (OSError, NewerFormat) as error:
        context.log.warning(f"how long the trigger of {loop.name} has waited is not known: {error}")


def _show(context: dg.SensorEvaluationContext, control: Control, loop: str, found: LastDecision) -> None:
    """Keep the newest decision for status and metrics. It holds no retrain up."""
    try:
        if is_news(read_decision(control, loop), found):
            write_decision(control, loop, found)
    except (OSError, NewerFormat) as error:
        context.log.warning(f"the newest decision on {loop} cannot be stored: {error}")


def observe(
    instance: dg.DagsterInstance,
    loop: LoopConfig,
    state: EndpointState,
    labels: Count,
    ran: runs.History,
    paused: str | None,
    now: float,
    ledger: Sequence[ShadowRetrain] = (),
    over_budget: str | None = None,
) -> Situation:
    """What the events of a loop say at a time (epoch seconds) since its newest retrain that ran its course.

    Retrains of the shadow `ledger` of a loop in mode observe count as if they had run and been promoted.
    """
    name = loop.name
    since = ran.last.create_timestamp.timestamp() if ran.last else None
    if ledger and ledger[-1].at > (since or 0.0):
        since = ledger[-1].at
    in_quarter = runs.retrains_since(instance, name, datetime.fromtimestamp(now - QUARTER, UTC))
    report = newest(instance, node(name, "drift_report"))
    about_production = report is not None and names(report, "production", state.production)
    first = since or next((at for at, _ in history(instance, node(name, "release"), limit=1)), None)
    schedule = loop.retrain_on.schedule
    quality = _quality(instance, name, state.production, since or 0.0)
    trained = newest(instance, node(name, "adapter"))
    seconds, rows = _number(trained, "train_seconds"), _number(trained, "rows")
    gap = loop.retrain_on.drift.longest_gap
    return Situation(
        now=now,
        alarms=alarms_in_a_row(windows(instance, loop, state.production, since or 0.0), gap) if report else None,
        novelty_share=_number(report, "novelty_share") if about_production else None,
        new_labels=labels.new,
        schedule_due_at=next_retrain(schedule, first, loop.timezone) if schedule and first else None,
        quality=_number(quality, "quality"),
        quality_baseline=_number(quality, "baseline"),
        last_retrain_at=since,
        retrains_in_quarter=sum(record.dagster_run.tags.get(TRIGGER) != "bootstrap" for record in in_quarter)
        + shadow.in_quarter(ledger, now),
        died=ran.died,
        retrain_running=runs.retrain_running(instance, name),
        rollout_running=state.candidate is not None or runs.move_running(instance, name),
        paused=paused,
        seconds_per_row=seconds / rows if seconds is not None and rows else None,
        expected_rows=retrain.expected_rows(labels.new, loop),
        untried_labels=labels.untried,
        labels_per_day=labels.per_day,
        labels_expire=loop.dataset.production_window,
        unusable_labels=labels.unusable,
        failed=ran.failed,
        failed_at=ran.failed_at,
        over_budget=over_budget,
    )


def _quality(instance: dg.DagsterInstance, loop: str, production: str | None, since: float) -> dg.AssetMaterialization | None:
    """The newest quality report, unless it is about an earlier version or was answered by a retrain already."""
    for at, report in history(instance, node(loop, "quality_report"), limit=1):
        if at >= since and (metadata_value(report, "production") is None or names(report, "production", production)):
            return report
    return None


def _number(event: dg.AssetMaterialization | None, name: str) -> float | None:
    value = metadata_value(event, name) if event else None
    return float(value) if isinstance(value, int | float) else None
