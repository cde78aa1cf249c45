"""Records what Dagster did not start: runs whose process died, and traffic moved from the command line or by an expired lease."""

import json

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.node import with_signature
from ftassets.assets.endpoint import event, sync_registry
from ftassets.automation import ownership, runs
from ftassets.automation.jobs import LOOP
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.transition import Transition


def build(loop: LoopConfig) -> dg.SensorDefinition:
    """A sensor that ends dead runs, so that the next attempt may start, and reports transitions no run recorded.

    It runs whatever the loop's automation is set to: it only tells Dagster the truth.
    """

    @dg.sensor(
        name=f"{loop.name}__reconcile",
        minimum_interval_seconds=int(loop.sensor_interval),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Ends runs whose process is gone and reports transitions of traffic that no run made.",
    )
    @with_signature
    def reconcile(
        context: dg.SensorEvaluationContext, serving: dg.ResourceParam[Serving], registry: dg.ResourceParam[Registry]
    ) -> dg.SensorResult:
        ended = end_dead_runs(context.instance, loop.name)
        seen = int(json.loads(context.cursor or "0"))
        try:
            journal = serving.journal()
            state = serving.state(loop.name)
        except ServingError as error:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{_ended(ended)}{error}"), cursor=str(seen))
        mine = [transition for transition in journal if transition.loop == loop.name]
        new = [transition for transition in mine if transition.number > seen and not recorded_by_run(transition)]
        cursor = str(max([seen, *(transition.number for transition in mine)]))
        if not new:
            return dg.SensorResult(skip_reason=dg.SkipReason(f"{_ended(ended)}nothing to report"), cursor=cursor)
        sync_registry(loop, registry, state, journal)
        newest = event(loop, state, journal, f"{new[-1].action} by {new[-1].by}: {new[-1].reason}")
        report = dg.AssetMaterialization(
            node(loop.name, "endpoint"),
            metadata=newest["metadata"],
            tags={"dagster/data_version": newest["data_version"].value},
        )
        return dg.SensorResult(asset_events=[report], cursor=cursor)

    return reconcile


def recorded_by_run(transition: Transition) -> bool:
    """Whether a transition needs no record here: staging moves no traffic, and a run records its own."""
    return transition.action in ("stage", "unstage") or transition.by.startswith("run:")


def end_dead_runs(instance: dg.DagsterInstance, loop: str) -> list[str]:
    """Fail started runs of a loop whose process is gone, end what they left running; returns their ids."""
    ended = []
    for record in instance.get_run_records(dg.RunsFilter(tags={LOOP: loop}, statuses=[dg.DagsterRunStatus.STARTED])):
        if ownership.process_gone(record):
            run = record.dagster_run
            for process in ownership.children_left(run.run_id):
                process.kill()
            instance.add_run_tags(run.run_id, {runs.DIED: "true"})
            instance.report_run_failed(run, "the process that executed this run is gone; the loop tries again by itself")
            ended.append(run.run_id)
    for record in instance.get_run_records(dg.RunsFilter(tags={LOOP: loop}, statuses=[dg.DagsterRunStatus.FAILURE]), limit=10):
        run = record.dagster_run
        # a code server that saw its worker die fails the run itself: no step of such a run says why
        if runs.DIED not in run.tags and not instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
            for process in ownership.children_left(run.run_id):
                process.kill()
            instance.add_run_tags(run.run_id, {runs.DIED: "true"})
            ended.append(run.run_id)
    return ended


def _ended(ended: list[str]) -> str:
    return f"ended dead runs {', '.join(run_id[:8] for run_id in ended)}; " if ended else ""
