"""Who is told of a failed run, and in which words."""

from itertools import groupby
from typing import Any

import dagster as dg

from ftassets.assets._shared.run_nodes import LOOP
from ftassets.automation import notices
from ftassets.backends.notifier.base import Alert
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import control
from ftassets.testing.doubles.http import receiver
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, Told, loop_of


def finished_run(instance: dg.DagsterInstance, passed: bool | None, loop: str = NAME) -> tuple[dg.DagsterRun, Any]:
    """A run that failed by a blocking check or (passed is None) by itself, or succeeded; with the event of that."""

    @dg.asset
    def report() -> None:
        if passed is None:
            raise RuntimeError("out of memory")

    @dg.asset_check(asset=report, blocking=True)
    def better() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=bool(passed), description="FAIL: candidate 0.5, production 0.7")

    @dg.asset_check(asset=report)
    def enough_rows() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=False, description="informs only")

    job = dg.Definitions([report], asset_checks=[better, enough_rows], jobs=[dg.define_asset_job("job")]).resolve_job_def("job")
    result = job.execute_in_process(instance=instance, raise_on_error=False, tags={LOOP: loop})
    assert result.success is (passed is True)
    return result.dagster_run, result.get_run_success_event() if passed else result.get_run_failure_event()


def tell(bench: Bench, run: dg.DagsterRun, event: Any, loop: LoopConfig = AUTO) -> list[Alert]:
    told = Told()
    sensor = notices.build(loop)
    context = dg.build_run_status_sensor_context(
        sensor.name, event, bench.instance, run, resources={"notifier": told, "control": control(bench.home)}
    )
    sensor(context.for_run_failure())
    return told.alerts


def test_a_refused_promotion_is_a_ticket_with_its_evidence(bench: Bench) -> None:
    run, event = finished_run(bench.instance, passed=False)
    [alert] = tell(bench, run, event)
    assert (alert.loop, alert.title, alert.severity) == (NAME, "promotion refused", "ticket")
    assert alert.text == "better: FAIL: candidate 0.5, production 0.7"


def test_a_crash_is_a_page(bench: Bench) -> None:
    run, event = finished_run(bench.instance, passed=None)
    [alert] = tell(bench, run, event)
    assert (alert.loop, alert.title, alert.severity) == (NAME, "job failed", "page")
    assert run.run_id in alert.text


def test_runs_of_other_loops_are_not_told(bench: Bench) -> None:
    run, event = finished_run(bench.instance, passed=False, loop="other")
    assert tell(bench, run, event) == []


def test_a_run_of_selected_assets_is_told_by_its_nodes_and_once_by_each_loop_it_is_about(bench: Bench) -> None:
    @dg.asset(key=[NAME, "adapter"])
    def adapter() -> None:
        raise RuntimeError("out of memory")

    definitions = dg.Definitions([adapter])
    result = definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=bench.instance, raise_on_error=False)
    assert LOOP not in result.dagster_run.tags
    [alert] = tell(bench, result.dagster_run, result.get_run_failure_event())
    assert (alert.title, alert.severity) == (f"{NAME}: adapter failed", "page")
    assert tell(bench, result.dagster_run, result.get_run_failure_event(), loop_of(name="other")) == []


def test_alerts_go_where_the_loop_says_crashes_of_a_job_once_and_each_refusal(bench: Bench) -> None:
    with receiver() as there:
        loop = loop_of(notify={"alertmanager": there.url, "runbook": "https://wiki/runbook"})
        for passed, told in ((None, 1), (None, 1), (False, 2), (False, 1)):
            assert len(tell(bench, *finished_run(bench.instance, passed), loop)) == told
        sent = [alert for request in there.received for alert in request.body]
    names = [name for name, _ in groupby(alert["labels"]["alertname"] for alert in sent)]
    assert names == ["RunFailed", "PromotionRefused", "RunFailed", "PromotionRefused"]
    assert [alert["annotations"]["runbook_url"].partition("#")[2] for alert in sent][:2] == ["run-failed", "promotion-refused"]


def test_a_run_that_succeeds_resolves_the_alert_of_the_one_before_it_that_failed_and_no_later_one(bench: Bench) -> None:
    """Labels are those of the alert that fired: with others Alertmanager would not know what is over."""

    def succeeds() -> list[Alert]:
        run, event = finished_run(bench.instance, passed=True)
        told, sensor = Told(), notices.build_resolved(AUTO)
        resources = {"notifier": told, "control": control(bench.home)}
        sensor(dg.build_run_status_sensor_context(sensor.name, event, bench.instance, run, resources=resources))
        return told.alerts

    assert succeeds() == []
    [failed] = tell(bench, *finished_run(bench.instance, passed=None))
    tell(bench, *finished_run(bench.instance, passed=None, loop="other"))
    [over] = succeeds()
    assert (over.key, over.severity, over.resolved) == (failed.key, failed.severity, True)
    assert succeeds() == []
    tell(bench, *finished_run(bench.instance, passed=False))
    assert succeeds() == [], "a refusal is no failure"
