"""What makes a loop run by itself: jobs, a schedule, sensors."""

from typing import Any

import dagster as dg

from ftassets.automation import bootstrap, jobs, notices, reconcile, retrain, rollout, schedules
from ftassets.domain.loop import LoopConfig


def build(loop: LoopConfig) -> tuple[list[Any], list[dg.ScheduleDefinition], list[dg.SensorDefinition]]:
    """Jobs, schedules and sensors of a loop."""
    sensors = [module.build(loop) for module in (bootstrap, retrain, rollout, reconcile, notices)]
    return jobs.build(loop), [schedules.build(loop)], sensors
