"""The schedule of a loop's drift analysis, and the time at which a scheduled retrain is due."""

from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import get_next_cron_tick

from ftassets.assets._shared.node import with_signature
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.automation.jobs import watch_job_name
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.config.loop import LoopConfig
from ftassets.errors import ConfigurationError

PERIODS = {"weekly": 7 * 86400.0, "biweekly": 14 * 86400.0}  # seconds


def build(loop: LoopConfig) -> dg.ScheduleDefinition:
    """Embeddings and drift report on the loop's cron; the window ends at the scheduled time, whenever the run starts.

    Missed ticks are not backfilled, except the latest: Dagster backfills only with partitions.
    """

    @dg.schedule(
        name=f"{loop.name}__watch_schedule",
        cron_schedule=loop.retrain_on.drift.every,
        execution_timezone=loop.timezone,
        job_name=watch_job_name(loop.name),
        default_status=_status(loop),
    )
    @with_signature
    def watch(context: dg.ScheduleEvaluationContext, serving: dg.ResourceParam[Serving]) -> dg.RunRequest | dg.SkipReason:
        try:
            if serving.state(loop.name).production is None:
                return dg.SkipReason("no version is in production: there is no traffic to compare")
        except ServingError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest(tags={WINDOW_END: str(context.scheduled_execution_time.timestamp())})

    return watch


def next_retrain(schedule: str, since: float, timezone: str) -> float:
    """When a retrain falls due (epoch seconds) after one at `since`: `weekly`, `biweekly`, or the next time of a cron.

    A cron is in the time zone with that IANA name.
    Raises ConfigurationError for any other schedule.
    """
    if schedule in PERIODS:
        return since + PERIODS[schedule]
    try:
        return get_next_cron_tick(schedule, datetime.fromtimestamp(since, UTC), timezone).timestamp()
    except ValueError as error:
        raise ConfigurationError(
            f"retrain_on.schedule is {schedule!r}: write weekly, biweekly or a cron expression such as 0 4 * * 1 ({error})"
        ) from error


def _status(loop: LoopConfig) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if loop.automation else dg.DefaultScheduleStatus.STOPPED
