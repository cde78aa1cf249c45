import time
from dataclasses import replace
from pathlib import Path

import dagster as dg

from ftassets.assets._shared.events import newest, node
from ftassets.automation import build, retention
from ftassets.config import profiles
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.releases import loop_config
from ftassets.testing.tiny_loop import LOOP, tiny_loop
from ftassets_tests.docs.test_data_model import undocumented


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


def test_the_job_runs_in_a_whole_loop_and_leaves_what_the_data_model_names(tmp_path: Path) -> None:
    with tiny_loop(tmp_path, traffic={"keep": "40d"}) as tiny:
        log, now = profiles.traffic_log(tiny.home), time.time()
        log.append([replace(exchange(days, loop=LOOP), at=now - days * 86_400) for days in (60, 50, 10)])
        assert tiny.run("retention").success
        event = newest(tiny.instance, node(LOOP, "traffic_retention"))
        assert event is not None
        assert event.metadata["deleted"].value == 2
        assert [each.id for each in log.exchanges(LOOP)] == [f"{LOOP}-10"]
        assert len(list(tiny.home.traffic_export.rglob("*.parquet"))) == 2
        assert undocumented(tiny.home.root) == []
