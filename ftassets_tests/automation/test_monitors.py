"""When the live reports run: by the clock, and once for each deployment."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from ftassets.assets._shared.run_nodes import LOOP
from ftassets.assets.drift_report.asset import WINDOW_END
from ftassets.automation import monitors
from ftassets.automation.jobs import TRIGGER
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, C, P, loop_of, requested, skipped

AT = datetime(2026, 3, 1, 7, tzinfo=UTC)


def scheduled(bench: Bench, **changes: Any) -> Any:
    _, schedule, _ = monitors.build(loop_of(**changes))
    return schedule(dg.build_schedule_context(instance=bench.instance, scheduled_execution_time=AT, resources={"serving": bench.serving}))


def deployed(bench: Bench) -> Any:
    return bench.tick(monitors.build(AUTO)[2])


def test_the_schedule_asks_for_a_window_that_ends_at_its_time(bench: Bench) -> None:
    request = scheduled(bench)
    assert isinstance(request, dg.RunRequest)
    assert float(request.tags[WINDOW_END]) == AT.timestamp()
    assert monitors.build(loop_of(monitors={"every": "0 3 * * 1"}))[1].cron_schedule == "0 3 * * 1"


def test_without_a_version_or_an_endpoint_there_is_nothing_to_look_at(bench: Bench) -> None:
    bench.serving.now = EndpointState()
    assert "no version is in production" in skipped(scheduled(bench))
    assert "no version is in production" in skipped(deployed(bench))
    bench.serving.error = "the gateway does not answer"
    assert skipped(scheduled(bench)) == skipped(deployed(bench)) == "the gateway does not answer"


def test_each_deployment_has_one_key_and_a_canary_none(bench: Bench) -> None:
    bench.serving.transition(EndpointState(production=P), "start", "run:1")
    first = requested(deployed(bench))
    assert first.tags[TRIGGER] == "deployment"
    assert requested(deployed(bench)).run_key == first.run_key
    bench.serving.transition(EndpointState(production=P, candidate=C, weight=20), "start", "run:2")
    bench.serving.transition(EndpointState(production=C), "start", "run:2", loop="other")
    bench.serving.transition(EndpointState(production=P, candidate=C, weight=50), "ramp", "run:3")
    bench.serving.now = EndpointState(production=P, candidate=C, weight=50)
    assert requested(deployed(bench)).run_key == first.run_key
    bench.serving.transition(EndpointState(production=C, standby=P), "ramp", "run:4")
    second = requested(deployed(bench))
    assert second.run_key != first.run_key
    bench.serving.transition(EndpointState(production=P, rejected=(C,)), "rollback", "cli")
    assert requested(deployed(bench)).run_key not in (first.run_key, second.run_key), "going back to a version is a deployment too"


def test_a_version_from_before_the_journal_is_looked_at_once(bench: Bench) -> None:
    assert requested(deployed(bench)).run_key == requested(deployed(bench)).run_key == f"{P}:0"


@pytest.mark.parametrize("automation", [True, False])
def test_automation_off_leaves_both_off(automation: bool) -> None:
    _, schedule, sensor = monitors.build(loop_of(automation=automation))
    assert (schedule.default_status is dg.DefaultScheduleStatus.RUNNING) is automation
    assert (sensor.default_status is dg.DefaultSensorStatus.RUNNING) is automation


def test_schedule_and_sensor_run_the_job_of_the_loop() -> None:
    job, schedule, sensor = monitors.build(AUTO)
    assert job.name == schedule.job_name == sensor.job_name == f"{NAME}__monitor"
    assert job.tags[LOOP] == NAME
