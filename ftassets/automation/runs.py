"""What the sensors of a loop need to know about its runs."""

from datetime import datetime

import dagster as dg

from ftassets.automation.jobs import LOOP, endpoint_job_name, retrain_job_name
from ftassets.config.loop import LoopConfig

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
DIED = "ftassets/died"  # set by the reconcile sensor on runs whose process is gone


def status(loop: LoopConfig) -> dg.DefaultSensorStatus:
    """Sensors start switched on unless the loop's automation is off."""
    return dg.DefaultSensorStatus.RUNNING if loop.automation else dg.DefaultSensorStatus.STOPPED


def retrains(instance: dg.DagsterInstance, loop: str, since: datetime | None = None) -> list[dg.RunRecord]:
    """Retrain runs of a loop, newest first: those created since then, or the newest 20."""
    runs = dg.RunsFilter(job_name=retrain_job_name(loop), tags={LOOP: loop}, created_after=since)
    return list(instance.get_run_records(runs, limit=None if since else 20))


def unfinished(instance: dg.DagsterInstance, job_name: str) -> bool:
    """Whether a run of the job is queued or running."""
    return bool(instance.get_run_records(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1))


def retrain_running(instance: dg.DagsterInstance, loop: str) -> bool:
    return unfinished(instance, retrain_job_name(loop))


def move_running(instance: dg.DagsterInstance, loop: str) -> bool:
    return unfinished(instance, endpoint_job_name(loop))


def last_retrain(records: list[dg.RunRecord]) -> tuple[dg.RunRecord | None, int]:
    """The newest of these runs (newest first) that ran its course, and how many since died with their process.

    A run whose process died decided nothing: alarms and labels still stand, and only it is tried again.
    """
    for died, record in enumerate(records):
        if DIED not in record.dagster_run.tags:
            return record, died
    return None, len(records)


def moves_died(instance: dg.DagsterInstance, loop: str) -> int:
    """Runs of the endpoint's job whose process died: part of the next one's key, or it would never be tried again."""
    return instance.get_runs_count(dg.RunsFilter(job_name=endpoint_job_name(loop), tags={LOOP: loop, DIED: "true"}))
