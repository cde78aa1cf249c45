"""What makes a loop run by itself: jobs, a schedule, sensors."""

from typing import Any

import dagster as dg

from ftassets.automation import bootstrap, health, jobs, monitors, notices, reconcile, retention, retrain, rollout, schedules
from ftassets.config.loop import LoopConfig

SENSORS = ("bootstrap", "retrain", "rollout", "reconcile", "notices", "health", "notices_resolved", "monitor_deployment")


def build(loop: LoopConfig) -> tuple[list[Any], list[dg.ScheduleDefinition], list[dg.SensorDefinition]]:
    """Jobs, schedules and sensors of a loop."""
    job, schedule, sensor = monitors.build(loop)
    sensors = [module.build(loop) for module in (bootstrap, retrain, rollout, reconcile, notices, health)]
    sensors.append(notices.build_resolved(loop))
    deleting, when = retention.build(loop)
    return [*jobs.build(loop), job, *deleting], [schedules.build(loop), schedule, *when], [*sensors, sensor]
