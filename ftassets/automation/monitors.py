"""When a loop monitors the version in service: on its schedule, and at each new production version."""

from collections.abc import Iterable
from itertools import dropwhile, takewhile
from typing import Any

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.run_nodes import LOOP
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.automation import runs
from ftassets.automation.jobs import TRIGGER
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.config.loop import LoopConfig
from ftassets.domain.report_kinds import REPORT_KINDS
from ftassets.domain.rollout.transition import Transition

REPORTS = tuple(kind.asset for kind in REPORT_KINDS.values() if kind.monitor and kind.asset)


def monitor_job_name(loop: str) -> str:
    return f"{loop}__monitor"


def build(loop: LoopConfig) -> tuple[Any, dg.ScheduleDefinition, dg.SensorDefinition]:
    """The job of the live reports with the golden set, its schedule, and the sensor that runs it after a deployment."""
    job = dg.define_asset_job(
        monitor_job_name(loop.name),
        # the golden set too: a loop that has just adopted its version has never made it, and publishing the same rows changes nothing
        selection=[node(loop.name, name) for name in ("golden_set", *REPORTS, "cost_report")],
        tags={LOOP: loop.name},
        description="Ask the live version the golden set, check its answers to users, and add up what the loop costs.",
    )
    return job, _schedule(loop), _sensor(loop)


def _schedule(loop: LoopConfig) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{loop.name}__monitor_schedule",
        cron_schedule=loop.monitors.every,
        execution_timezone=loop.timezone,
        job_name=monitor_job_name(loop.name),
        default_status=dg.DefaultScheduleStatus.RUNNING if loop.automation else dg.DefaultScheduleStatus.STOPPED,
    )
    @with_signature
    def monitor(context: dg.ScheduleEvaluationContext, serving: dg.ResourceParam[Serving]) -> dg.RunRequest | dg.SkipReason:
        try:
            if serving.state(loop.name).production is None:
                return dg.SkipReason("no version is in production: there is nothing to monitor")
        except ServingError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest(tags={TRIGGER: "schedule", WINDOW_END: str(context.scheduled_execution_time.timestamp())})

    return monitor


def _sensor(loop: LoopConfig) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{loop.name}__monitor_deployment",
        job_name=monitor_job_name(loop.name),
        minimum_interval_seconds=max(int(loop.sensor_interval), 30),
        default_status=runs.status(loop),
        description="Checks each new production version at once.",
    )
    @with_signature
    def monitor_deployment(context: dg.SensorEvaluationContext, serving: dg.ResourceParam[Serving]) -> dg.SensorResult | dg.SkipReason:
        try:
            production = serving.state(loop.name).production
            if production is None:
                return dg.SkipReason("no version is in production")
            number = deployment(serving.recent(loop.name), production)
        except ServingError as error:
            return dg.SkipReason(str(error))
        # the same key at each look: Dagster makes one run of it
        return dg.SensorResult(run_requests=[dg.RunRequest(run_key=f"{production}:{number}", tags={TRIGGER: "deployment"})])

    return monitor_deployment


def deployment(newest_first: Iterable[Transition], production: str) -> int:
    """Number of the journal's entry that made this version production last: going back to a version is a deployment too."""
    since_it_served = dropwhile(lambda transition: transition.state.production != production, newest_first)
    numbers = [entry.number for entry in takewhile(lambda transition: transition.state.production == production, since_it_served)]
    return min(numbers, default=0)
