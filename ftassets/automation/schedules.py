"""When a loop looks at its traffic."""

import dagster as dg

from ftassets.automation.jobs import watch_job_name
from ftassets.domain.loop import LoopConfig
from ftassets.lineage.drift_report import WINDOW_END
from ftassets.resources.serving.base import Serving, ServingError


def build(loop: LoopConfig) -> dg.ScheduleDefinition:
    """Embeddings and drift report on the loop's cron; the window ends at the scheduled time, whenever the run starts."""

    @dg.schedule(
        name=f"{loop.name}__watch_schedule",
        cron_schedule=loop.retrain_on.drift.every,
        job_name=watch_job_name(loop.name),
        default_status=_status(loop),
    )
    def watch(context: dg.ScheduleEvaluationContext, serving: dg.ResourceParam[Serving]) -> dg.RunRequest | dg.SkipReason:
        try:
            if serving.state(loop.name).production is None:
                return dg.SkipReason("no version is in production: there is no traffic to look at")
        except ServingError as error:
            return dg.SkipReason(str(error))
        return dg.RunRequest(tags={WINDOW_END: str(context.scheduled_execution_time.timestamp())})

    return watch


def _status(loop: LoopConfig) -> dg.DefaultScheduleStatus:
    return dg.DefaultScheduleStatus.RUNNING if loop.automation else dg.DefaultScheduleStatus.STOPPED
