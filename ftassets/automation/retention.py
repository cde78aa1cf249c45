"""When days of traffic are deleted, in a loop that limits how long they stay."""

from typing import Any

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.assets._shared.run_nodes import LOOP
from ftassets.config.loop import LoopConfig


def retention_job_name(loop: str) -> str:
    return f"{loop}__retention"


def build(loop: LoopConfig) -> tuple[list[Any], list[dg.ScheduleDefinition]]:
    """The job and its schedule; none in a loop that keeps everything."""
    if not loop.traffic.limited:
        return [], []
    job = dg.define_asset_job(
        retention_job_name(loop.name),
        selection=[node(loop.name, "traffic_retention")],
        tags={LOOP: loop.name},
        description="Copy days of traffic that are too old, or too many, to Parquet and delete them.",
    )
    schedule = dg.ScheduleDefinition(
        name=f"{loop.name}__retention_schedule",
        cron_schedule=loop.traffic.every,
        execution_timezone=loop.timezone,
        job_name=retention_job_name(loop.name),
        default_status=dg.DefaultScheduleStatus.RUNNING if loop.automation else dg.DefaultScheduleStatus.STOPPED,
    )
    return [job], [schedule]
