"""Who is told of a failed run, and in which words."""

from typing import Any

import dagster as dg

from ftassets.automation import notices
from ftassets.automation.jobs import LOOP
from ftassets_tests.automation.conftest import AUTO, NAME, Bench


class Told:
    def __init__(self) -> None:
        self.notes: list[tuple[str, str, str, str]] = []

    def notify(self, loop: str, title: str, text: str, severity: str = "info") -> None:
        self.notes.append((loop, title, text, severity))


def failed_run(instance: dg.DagsterInstance, passed: bool | None, loop: str = NAME) -> tuple[dg.DagsterRun, Any]:
    """A run that failed: by a blocking check, or (passed is None) by itself."""

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
    assert not result.success
    return result.dagster_run, result.get_run_failure_event()


def tell(instance: dg.DagsterInstance, run: dg.DagsterRun, event: Any) -> Told:
    told = Told()
    sensor = notices.build(AUTO)
    context = dg.build_run_status_sensor_context(sensor.name, event, instance, run, resources={"notifier": told})
    sensor(context.for_run_failure())
    return told


def test_a_refused_promotion_is_a_ticket_with_its_evidence(bench: Bench) -> None:
    run, event = failed_run(bench.instance, passed=False)
    assert tell(bench.instance, run, event).notes == [(NAME, "promotion refused", "better: FAIL: candidate 0.5, production 0.7", "ticket")]


def test_a_crash_is_a_page(bench: Bench) -> None:
    run, event = failed_run(bench.instance, passed=None)
    [(loop, title, text, severity)] = tell(bench.instance, run, event).notes
    assert (loop, title, severity) == (NAME, "job failed", "page")
    assert run.run_id in text


def test_runs_of_other_loops_are_not_told(bench: Bench) -> None:
    run, event = failed_run(bench.instance, passed=False, loop="other")
    assert tell(bench.instance, run, event).notes == []
