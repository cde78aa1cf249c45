"""Alerts for failed runs, resolved when the next run like them succeeds, and separately for rejected promotions."""

import dagster as dg
from dagster._core.definitions.assets.job.asset_job import IMPLICIT_ASSET_JOB_NAME

from ftassets.assets._shared.node import with_signature
from ftassets.assets._shared.run_nodes import about, nodes_of
from ftassets.automation import runs
from ftassets.backends.control.base import Control
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.config.loop import LoopConfig

_BEFORE = 100  # runs of a job, newest first, among which one like a run that succeeded is looked for


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
        name = _name(context.instance, run, loop.name)
        if refused := runs.refusals(context.instance, run.run_id):
            # each refusal is news: no key of an earlier one keeps it quiet
            tell.notify(alert_about(loop, "promotion-refused", "promotion refused", "; ".join(refused), run.run_id))
            _tell_it_works(context, loop, tell, name)  # what was refused was made
        else:
            text = f"run {run.run_id}: {context.failure_event.message}"
            tell.notify(alert_about(loop, "run-failed", f"{name} failed", text, name))
        return None

    return notices


def build_resolved(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor on runs of the loop that succeed: it resolves the alert of one like it that failed before."""

    @dg.run_status_sensor(
        dg.DagsterRunStatus.SUCCESS,
        name=f"{loop.name}__notices_resolved",
        default_status=runs.status(loop),
        minimum_interval_seconds=int(loop.sensor_interval),
        monitor_all_code_locations=True,
        description="Reports that a run which failed before succeeds again.",
    )
    @with_signature
    def notices_resolved(
        context: dg.RunStatusSensorContext, control: dg.ResourceParam[Control], notifier: dg.ResourceParam[Notifier]
    ) -> dg.SkipReason | None:
        run = context.dagster_run
        if not about(context.instance, run, loop.name):
            return dg.SkipReason(f"run {run.run_id[:8]} is not of loop {loop.name}")
        _tell_it_works(context, loop, routed(control, loop, notifier), _name(context.instance, run, loop.name))
        return None

    return notices_resolved


def _tell_it_works(context: dg.RunStatusSensorContext, loop: LoopConfig, tell: Notifier, name: str) -> None:
    """Resolve the alert of the run before this one with the same name, if it failed."""
    instance, run = context.instance, context.dagster_run
    records = list(instance.get_run_records(dg.RunsFilter(job_name=run.job_name), limit=_BEFORE))
    ids = [record.dagster_run.run_id for record in records]
    for record in records[ids.index(run.run_id) + 1 if run.run_id in ids else 0 :]:
        before = record.dagster_run
        if not before.is_finished or before.status is dg.DagsterRunStatus.CANCELED or _name(instance, before, loop.name) != name:
            continue
        if before.status is dg.DagsterRunStatus.FAILURE and not runs.refusals(instance, before.run_id):
            text = f"run {run.run_id} ran its course after run {before.run_id} had failed"
            tell.notify(alert_about(loop, "run-failed", f"{name} works again", text, name, resolved=True))
        return


def _name(instance: dg.DagsterInstance, run: dg.DagsterRun, loop: str) -> str:
    """The job of a run, or its nodes if it was started on selected assets: Dagster's own name for such a job says nothing."""
    if not run.job_name.startswith(IMPLICIT_ASSET_JOB_NAME):
        return run.job_name
    return f"{loop}: {', '.join(sorted(nodes_of(instance, run, loop)))}"
