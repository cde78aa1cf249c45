"""Alerts for failed runs and, separately, for rejected promotions."""

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.run_nodes import about, nodes_of
from ftassets.automation import runs
from ftassets.backends.control.base import Control
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.config.loop import LoopConfig


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor on failed runs of the loop; a red gate is reported as a refusal with its evidence."""

    @dg.run_failure_sensor(
        name=f"{loop.name}__notices",
        default_status=runs.status(loop),
        minimum_interval_seconds=int(loop.sensor_interval),
        monitor_all_code_locations=True,  # a run that the command line executes belongs to none
        description="Reports failed runs and refused promotions.",
    )
    @with_signature
    def notices(
        context: dg.RunFailureSensorContext, control: dg.ResourceParam[Control], notifier: dg.ResourceParam[Notifier]
    ) -> dg.SkipReason | None:
        run = context.dagster_run
        if not about(context.instance, run, loop.name):
            return dg.SkipReason(f"run {run.run_id[:8]} is not of loop {loop.name}")
        tell = routed(control, loop, notifier)
        if refused := runs.refusals(context.instance, run.run_id):
            # each refusal is news: no key of an earlier one keeps it quiet
            tell.notify(alert_about(loop, "promotion-refused", "promotion refused", "; ".join(refused), "ticket", run.run_id))
        else:
            text = f"run {run.run_id}: {context.failure_event.message}"
            name = _name(context.instance, run, loop.name)
            tell.notify(alert_about(loop, "run-failed", f"{name} failed", text, "page", name))
        return None

    return notices


def _name(instance: dg.DagsterInstance, run: dg.DagsterRun, loop: str) -> str:
    """The job of a run, or its nodes if it was started on selected assets: Dagster's own name for such a job says nothing."""
    if not run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME):
        return run.job_name
    return f"{loop}: {', '.join(sorted(nodes_of(instance, run, loop)))}"
