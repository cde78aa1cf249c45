"""What Dagster shows of a loop whose file cannot be used: why, on an asset and on each sensor that the loop had."""

import re

import dagster as dg

from ftassets import automation

GROUP = "broken_loop_files"


def build_broken_loop(name: str, problem: str) -> dg.Definitions:
    """Definitions that say the problem and do nothing. The sensors keep their names: Dagster has their cursors for when they come back."""
    part = re.sub(r"\W", "_", name, flags=re.ASCII)  # the name may be a guess
    file = dg.AssetSpec([part, "loop_file"], group_name=GROUP, description=problem, kinds={"yaml"})
    return dg.Definitions(assets=[file], sensors=[_sensor(f"{part}__{each}", problem) for each in automation.SENSORS])


def _sensor(name: str, problem: str) -> dg.SensorDefinition:
    @dg.sensor(name=name, minimum_interval_seconds=60, default_status=dg.DefaultSensorStatus.RUNNING, description=problem)
    def says_why() -> dg.SkipReason:
        return dg.SkipReason(problem)

    return says_why
