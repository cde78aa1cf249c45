"""Which nodes of a loop a run is about, whatever started it: a job, "Materialize selected", the command line."""

from collections.abc import Iterable

import dagster as dg

LOOP = "ftassets/loop"  # tag of the runs of a loop's own jobs
MAKES_A_RELEASE = ("curated_dataset", "preference_pairs", "adapter", "aligned_adapter", "eval_report", "release")
MOVES_TRAFFIC = ("endpoint",)
DELETES_TRAFFIC = ("traffic_retention",)
ALONE = (MAKES_A_RELEASE, MOVES_TRAFFIC, DELETES_TRAFFIC)  # at most one run of a loop works on any nodes of such a group
BEYOND_THE_QUEUE = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
UNFINISHED = [dg.DagsterRunStatus.QUEUED, *BEYOND_THE_QUEUE]
_PLANNED = {dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED}
_REMEMBERED = 4096
_plans: dict[str, tuple[frozenset[dg.AssetKey], frozenset[dg.AssetKey]]] = {}  # by run id: a plan never changes


def nodes_of(instance: dg.DagsterInstance, run: dg.DagsterRun, loop: str) -> frozenset[str]:
    """Nodes of a loop that a run materializes: those its plan names, or those it was asked for if it has no plan."""
    asked = run.asset_selection
    if asked and not any(key.path[0] == loop for key in asked):
        return frozenset()  # without a query: somebody else's instance may have a thousand runs in its queue
    assets = _planned(instance, run)[0] or asked or ()
    return frozenset(key.path[-1] for key in assets if key.path[0] == loop)


def about(instance: dg.DagsterInstance, run: dg.DagsterRun, loop: str) -> bool:
    """Whether a run materializes or checks a node of the loop, or is one of its jobs."""
    if run.tags.get(LOOP) == loop:
        return True
    asked = {*(run.asset_selection or ()), *(check.asset_key for check in run.asset_check_selection or ())}
    keys = asked or frozenset().union(*_planned(instance, run))
    return any(key.path[0] == loop for key in keys)


def unfinished(instance: dg.DagsterInstance, loop: str, names: Iterable[str]) -> list[dg.RunRecord]:
    """Runs that are queued or running and materialize one of these nodes of a loop."""
    records = instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))
    return [record for record in records if nodes_of(instance, record.dagster_run, loop) & set(names)]


def refuse_second(instance: dg.DagsterInstance, run_id: str, loop: str, names: Iterable[str]) -> None:
    """Raises dg.Failure while a run that began earlier works on one of these nodes of the loop.

    Tags that limit concurrency are of jobs and of the instance's settings, which a run of selected assets and somebody else's
    Dagster do not have.
    """
    mine = instance.get_run_record_by_id(run_id)
    if mine is None:
        return
    for other in unfinished(instance, loop, names):
        run = other.dagster_run
        if run.run_id != run_id and other.start_time is not None and (other.start_time, run.run_id) < (mine.start_time or 0.0, run_id):
            doing = ", ".join(sorted(nodes_of(instance, run, loop) & set(names)))
            raise dg.Failure(
                f"run {run.run_id} is working on {doing} of loop {loop} already: wait until it has finished, or terminate it in the"
                " Dagster UI, then start this run again",
                allow_retries=False,
            )


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[frozenset[dg.AssetKey], frozenset[dg.AssetKey]]:
    """Assets and assets of checks that Dagster planned when it made the run."""
    if run.run_id in _plans:
        return _plans[run.run_id]
    assets, checked = set(), set()
    for record in instance.get_records_for_run(run.run_id, of_type=_PLANNED).records:
        event = record.event_log_entry.dagster_event
        if event and event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            assets.add(event.asset_key)
        elif event:
            checked.add(event.asset_check_planned_data.asset_key)
    plan = frozenset(assets), frozenset(checked)
    if assets or checked:  # a run has no plan for a moment after it was made
        if len(_plans) >= _REMEMBERED:
            _plans.clear()
        _plans[run.run_id] = plan
    return plan
