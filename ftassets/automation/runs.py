"""What the sensors of a loop need to know about its runs."""

from dataclasses import dataclass
from datetime import datetime

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.failures import REFUSED
from ftassets.assets._shared.run_nodes import MAKES_A_RELEASE, MOVES_TRAFFIC, nodes_of, unfinished
from ftassets.automation.ownership import DIED, died, handed_back
from ftassets.config.loop import LoopConfig

TRAINS, MOVES = "adapter", "endpoint"  # what makes a run a retrain, and one that moves traffic
REMEMBERED = 4096


def status(loop: LoopConfig) -> dg.DefaultSensorStatus:
    """Sensors start switched on unless the loop's automation is off."""
    return dg.DefaultSensorStatus.RUNNING if loop.automation else dg.DefaultSensorStatus.STOPPED


@dataclass(frozen=True)
class History:
    """What the runs that train came to: the newest that ran its course, and how many since ended without a verdict.

    A run ran its course when it succeeded, or when a check or the release refused what it made. One that died with its process, failed
    for another reason or was cancelled decided nothing: alarms and labels still stand. `died` and `failed` (cancelled ones included)
    are those since; `failed_at` (epoch seconds) is when the newest of the failed ones ended.
    """

    last: dg.RunRecord | None
    died: int
    failed: int
    failed_at: float | None

    @property
    def attempts(self) -> int:
        """Runs since the last one that ran its course."""
        return self.died + self.failed


def retrain_history(instance: dg.DagsterInstance, loop: str) -> History:
    """The newest runs that train, or were to, by the job or by hand; unfinished ones do not count yet."""
    limit = 20
    while True:
        planned, records = _planned(instance, loop, limit)
        history = _history(instance, records)
        if history.last is not None or planned < limit:
            return history
        limit *= 4


def retrains_since(instance: dg.DagsterInstance, loop: str, since: datetime) -> list[dg.RunRecord]:
    """Runs that train, created since then, that ran their course, newest first."""
    return [record for record in _planned(instance, loop, None, since)[1] if ran_its_course(instance, record.dagster_run)]


def ran_its_course(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a run succeeded or was refused by a check or the release."""
    if run.status is not dg.DagsterRunStatus.FAILURE:
        return run.status is dg.DagsterRunStatus.SUCCESS
    return not died(run) and _refused(instance, run.run_id)


def _planned(instance: dg.DagsterInstance, loop: str, limit: int | None, since: datetime | None = None) -> tuple[int, list[dg.RunRecord]]:
    """How many plans to train there are, up to a limit, and the runs they are of, newest first."""
    planned = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(
            dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
            asset_key=node(loop, TRAINS),
            after_timestamp=since.timestamp() if since else None,
        ),
        limit=limit,
    )
    run_ids = [record.run_id for record in planned]
    return len(run_ids), list(instance.get_run_records(dg.RunsFilter(run_ids=run_ids))) if run_ids else []


def _history(instance: dg.DagsterInstance, records: list[dg.RunRecord]) -> History:
    dead, failed, failed_at = 0, 0, None
    for record in records:
        run = record.dagster_run
        if ran_its_course(instance, run):
            return History(record, dead, failed, failed_at)
        if died(run):
            dead += 1
        elif run.is_finished and not handed_back(run):  # the run after it continues it
            failed += 1
            failed_at = failed_at or record.end_time or record.create_timestamp.timestamp()
    return History(None, dead, failed, failed_at)


_verdicts: dict[str, bool] = {}  # by run id: whether a finished run was refused never changes


def _refused(instance: dg.DagsterInstance, run_id: str) -> bool:
    if run_id not in _verdicts:
        if len(_verdicts) >= REMEMBERED:
            _verdicts.clear()
        _verdicts[run_id] = bool(refusals(instance, run_id))
    return _verdicts[run_id]


def refusals(instance: dg.DagsterInstance, run_id: str) -> list[str]:
    """Failed blocking checks of a run, each with the reason it gave, and a release that refused to be made."""
    failures = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records
    refused = [why for record in failures if (why := _user_words(record)) and why.startswith(REFUSED)]
    records = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION).records
    evaluations = [r.event_log_entry.dagster_event.event_specific_data for r in records if r.event_log_entry.dagster_event]
    return refused + [
        f"{e.check_name}: {e.description or 'failed'}"
        for e in evaluations
        if isinstance(e, dg.AssetCheckEvaluation) and e.blocking and not e.passed
    ]


def _user_words(record: dg.EventLogRecord) -> str | None:
    """Description of the dg.Failure that a step raised."""
    event = record.event_log_entry.dagster_event
    failure = event.step_failure_data.user_failure_data if event else None
    return failure.description if failure else None


def retrain_running(instance: dg.DagsterInstance, loop: str) -> bool:
    """Whether a run that works on a dataset, version, report or release of the loop is queued or running."""
    return bool(unfinished(instance, loop, MAKES_A_RELEASE))


def move_running(instance: dg.DagsterInstance, loop: str) -> bool:
    """Whether a run that moves traffic is queued or running."""
    return bool(unfinished(instance, loop, MOVES_TRAFFIC))


def moves_died(instance: dg.DagsterInstance, loop: str) -> int:
    """Runs that were to move traffic and died: part of the next one's key, or it would never be tried again."""
    return sum(MOVES in nodes_of(instance, run, loop) for run in instance.get_runs(dg.RunsFilter(tags={DIED: "true"})))
