"""From a drift alarm to a retrain, when everything speaks for it."""

import time

import dagster as dg

from ftassets.automation import runs
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.domain.drift import DriftVerdict
from ftassets.domain.loop import LoopConfig
from ftassets.domain.retrain import Action, Situation, should_retrain
from ftassets.home import Home
from ftassets.lineage.events import data_version, history, metadata_value, newest, node
from ftassets.resources.serving.base import Serving, ServingError
from ftassets.resources.traffic_log.base import TrafficLog

REPORT = "ftassets/drift_report"


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor that reads the newest drift reports and asks `should_retrain`; a pending alarm is asked again at each look."""

    @dg.sensor(
        name=f"{loop.name}__drift",
        job_name=retrain_job_name(loop.name),
        minimum_interval_seconds=int(loop.sensor_interval),
        default_status=runs.status(loop),
        description="Starts a retrain on drift alarms, or says why not.",
    )
    def drift(
        context: dg.SensorEvaluationContext,
        home: dg.ResourceParam[Home],
        traffic_log: dg.ResourceParam[TrafficLog],
        serving: dg.ResourceParam[Serving],
    ) -> dg.SensorResult | dg.SkipReason:
        instance = context.instance
        key = node(loop.name, "drift_report")
        report = newest(instance, key)
        if report is None:
            return dg.SkipReason("no drift report yet")
        try:
            rollout_running = serving.state(loop.name).phase == "canary"
        except ServingError as error:
            return dg.SkipReason(str(error))
        # a run whose process died decided nothing: its alarm and labels still stand
        earlier = [record for record in runs.retrains(instance, loop.name) if runs.DIED not in record.dagster_run.tags]
        last = earlier[0].create_timestamp.timestamp() if earlier else None
        situation = Situation(
            now=time.time(),
            alarms=alarms_in_a_row(instance, loop.name, since=last or 0.0),
            new_labels=sum(bool(item.feedback.correction) for item in traffic_log.reviewed(loop.name, since=last or 0.0)),
            last_retrain_at=last,
            retrain_running=runs.retrain_running(instance, loop.name),
            rollout_running=rollout_running or runs.move_running(instance, loop.name),
            paused=runs.pause_reason(home, loop.name),
        )
        decision = should_retrain(situation, loop)
        if decision.action is not Action.RETRAIN:
            return dg.SkipReason(f"{decision.action.value}: {decision.reason}")
        digest = data_version(report)
        number = runs.attempt(instance, loop.name, **{REPORT: digest})
        if number >= runs.ATTEMPTS:
            return dg.SkipReason(f"the run's process died {number} times: look at the runs, then start the retrain job by hand")
        tags = {TRIGGER: "drift", REPORT: digest, "ftassets/reason": decision.reason}
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{digest}:{number}", tags=tags)])

    return drift


def alarms_in_a_row(instance: dg.DagsterInstance, loop: str, since: float) -> int:
    """Alarms among the newest drift reports after `since` (epoch seconds) until one is quiet; reports without data do not count."""
    count = 0
    for at, report in history(instance, node(loop, "drift_report")):
        verdict = metadata_value(report, "verdict")
        if at < since or verdict == DriftVerdict.QUIET.value:
            break
        count += verdict == DriftVerdict.ALARM.value
    return count
