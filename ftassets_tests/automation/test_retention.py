import dagster as dg

from ftassets.automation import build, retention
from ftassets.testing.releases import loop_config


def test_a_loop_with_a_limit_deletes_on_its_own_schedule_in_its_time_zone() -> None:
    loop = loop_config("support", traffic={"keep": "90d", "every": "15 3 * * 1"}, timezone="Europe/Berlin")
    [job], [schedule] = retention.build(loop)
    assert (job.name, schedule.job_name) == ("support__retention", "support__retention")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 3 * * 1", "Europe/Berlin")
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    jobs, schedules, _ = build(loop)
    assert "support__retention" in {each.name for each in jobs}
    assert "support__retention_schedule" in {each.name for each in schedules}


def test_a_loop_that_keeps_everything_has_neither() -> None:
    assert retention.build(loop_config("support")) == ([], [])


def test_a_loop_without_automation_has_its_schedule_switched_off() -> None:
    _, [schedule] = retention.build(loop_config("support", traffic={"max_gb": 50}, automation=False))
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
