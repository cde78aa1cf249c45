"""What the sensors of a loop need to know about its runs."""

from datetime import datetime

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.run_nodes import MAKES_A_RELEASE, MOVES_TRAFFIC, nodes_of, unfinished
from ftassets.automation.ownership import DIED, died
from ftassets.config.loop import LoopConfig

TRAINS, MOVES = "adapter", "endpoint"  # what makes a run a retrain, and one that moves traffic


def status(loop: LoopConfig) -> dg.DefaultSensorStatus:
    """Sensors start switched on unless the loop's automation is off."""
    return dg.DefaultSensorStatus.RUNNING if loop.automation else dg.DefaultSensorStatus.STOPPED


def retrains(instance: dg.DagsterInstance, loop: str, since: datetime | None = None) -> list[dg.RunRecord]:
    """Runs that train, or were to, newest first: those created since then, or the newest 20. By the job or by hand."""
    planned = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            asset_key=node(loop, TRAINS),
            after_timestamp=since.timestamp() if since else None,
        ),
        limit=None if since else 20,
    )
    run_ids = [record.run_id for record in planned]
    return list(instance.get_run_records(dg.RunsFilter(run_ids=run_ids))) if run_ids else []


def retrain_running(instance: dg.DagsterInstance, loop: str) -> bool:
    """Whether a run that works on a dataset, version, report or release of the loop is queued or running."""
    return bool(unfinished(instance, loop, MAKES_A_RELEASE))


def move_running(instance: dg.DagsterInstance, loop: str) -> bool:
    """Whether a run that moves traffic is queued or running."""
    return bool(unfinished(instance, loop, MOVES_TRAFFIC))


def last_retrain(records: list[dg.RunRecord]) -> tuple[dg.RunRecord | None, int]:
    """The newest of these runs (newest first) that ran its course, and how many since died with their process.

    A run whose process died decided nothing: alarms and labels still stand, and only it is tried again.
    """
    for count, record in enumerate(records):
        if not died(record.dagster_run):
            return record, count
    return None, len(records)


def moves_died(instance: dg.DagsterInstance, loop: str) -> int:
    """Runs that were to move traffic and died: part of the next one's key, or it would never be tried again."""
    return sum(MOVES in nodes_of(instance, run, loop) for run in instance.get_runs(dg.RunsFilter(tags={DIED: "true"})))
