"""The first version of a loop: what each tick requests, or reports that it waits for."""

import time
from types import SimpleNamespace

import dagster as dg
import pytest

from ftassets.automation import bootstrap
from ftassets.automation.jobs import TRIGGER, retrain_job_name
from ftassets.automation.ownership import DIED
from ftassets.backends.control.usage import close
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.spending.usage import Usage, UsageEntry
from ftassets_tests.automation.conftest import NAME, Bench, C, P, S, loop_of, requested, skipped


@pytest.fixture(autouse=True)
def nothing_serves(bench: Bench) -> None:
    bench.serving.now = EndpointState()


def test_trains_a_first_version(bench: Bench) -> None:
    request = requested(bench.bootstrap())
    assert request.run_key == "bootstrap:0"
    assert request.tags[TRIGGER] == "bootstrap"


def test_a_refused_first_version_is_not_tried_again_by_itself(bench: Bench) -> None:
    bench.refused({TRIGGER: "bootstrap"})
    assert requested(bench.bootstrap()).run_key == "bootstrap:0"  # the same key: Dagster starts no second run


def test_a_first_run_that_failed_without_a_verdict_is_tried_again_after_a_pause(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "bootstrap"})
    assert "the run failed or ended without a verdict: the next one starts after a pause" in skipped(bench.bootstrap())
    now = time.time()
    monkeypatch.setattr(bootstrap, "time", SimpleNamespace(time=lambda: now + 601))
    assert requested(bench.bootstrap()).run_key == "bootstrap:1"


def test_a_run_whose_process_died_is_tried_again(bench: Bench) -> None:
    bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "bootstrap", DIED: "true"})
    assert requested(bench.bootstrap()).run_key == "bootstrap:1"


@pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTING, S.STARTED, S.CANCELING])
def test_waits_for_a_run_under_way(bench: Bench, status: dg.DagsterRunStatus) -> None:
    bench.run(retrain_job_name(NAME), status)
    assert "under way" in skipped(bench.bootstrap())


def test_has_nothing_to_do_once_there_is_a_version(bench: Bench) -> None:
    bench.materialize("release", C)
    assert "waits for its rollout" in skipped(bench.bootstrap())
    bench.serving.now = EndpointState(production=P)
    assert skipped(bench.bootstrap()) == "a version is in production"


def test_a_first_version_waits_for_a_budget(bench: Bench) -> None:
    used = UsageEntry(
        id="x", loop=NAME, run_id="x", node="adapter", for_release=True, at=time.time(), until=time.time(), ended="failed",
        usage=Usage(cpu_seconds=9000),
    )  # fmt: skip
    close(control(bench.home), used)
    assert requested(bench.bootstrap(loop_of(prices={"usd_per_cpu_hour": 4}, budget={"usd_per_month": 11})))
    said = skipped(bench.bootstrap(loop_of(prices={"usd_per_cpu_hour": 4}, budget={"usd_per_month": 10})))
    assert "cost 10.00 USD, budget.usd_per_month is 10.00 USD: raise it, or wait for the next month" in said


def test_observe_says_what_it_would_do(bench: Bench) -> None:
    assert "would train a first version" in skipped(bench.bootstrap(loop_of(mode="observe")))
    assert requested(bench.bootstrap(loop_of(mode="propose", release={"people": {"anna": "lead"}, "approve": ["lead"]})))


def test_pause_and_silence_of_the_endpoint_hold_it(bench: Bench) -> None:
    bench.pause("moving house")
    assert skipped(bench.bootstrap()) == "the loop is paused: moving house"
    bench.serving.error = "the gateway does not answer"
    assert skipped(bench.bootstrap()) == "the gateway does not answer"
