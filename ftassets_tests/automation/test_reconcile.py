"""What happened behind Dagster's back, found and reported."""

import os
import signal
import socket
import subprocess
import sys
import time

import dagster as dg
import psutil

from ftassets.assets._shared.events import DATA_VERSION, metadata_value, node
from ftassets.automation import ownership, runs
from ftassets.automation.jobs import LOOP, retrain_job_name
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets_tests.automation.conftest import NAME, Bench, C, FakeRegistry, P, S


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, **environment})


def owner(pid: int, created: float, host: str | None = None) -> dict[str, str]:
    return {ownership.PID: str(pid), ownership.CREATED: f"{created:.2f}", ownership.HOST: host or socket.gethostname()}


def test_a_run_whose_process_is_gone_is_failed_and_its_trainer_ended(bench: Bench) -> None:
    process = sleeper()
    tags = owner(process.pid, psutil.Process(process.pid).create_time())
    process.kill()
    process.wait()
    run = bench.run(retrain_job_name(NAME), S.STARTED, tags)
    trainer = sleeper(**{ownership.RUN_ID: run.run_id})
    try:
        while trainer.poll() is None and ownership.RUN_ID not in psutil.Process(trainer.pid).environ():
            time.sleep(0.01)  # until exec has happened
        result = bench.reconcile()
        assert trainer.wait(10) == -signal.SIGKILL
    finally:
        trainer.kill()
        trainer.wait()
    assert result.skip_reason is not None
    assert f"ended dead runs {run.run_id[:8]}" in (result.skip_reason.skip_message or "")
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.FAILURE
    assert ended.tags[runs.DIED] == "true"
    assert not runs.retrain_running(bench.instance, NAME)


def test_a_living_run_another_host_s_and_a_young_one_are_left_alone(bench: Bench) -> None:
    me = psutil.Process()
    bench.run(retrain_job_name(NAME), S.STARTED, owner(me.pid, me.create_time()))
    bench.run(retrain_job_name(NAME), S.STARTED, owner(1 << 22, 0.0, host="elsewhere"))
    bench.run(retrain_job_name(NAME), S.STARTED)
    bench.run(retrain_job_name("other"), S.STARTED, {LOOP: "other", **owner(1 << 22, 0.0)})
    result = bench.reconcile()
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "nothing to report"
    assert len(bench.instance.get_run_records(dg.RunsFilter(statuses=[S.STARTED]))) == 4


def test_a_shift_from_the_command_line_becomes_an_endpoint_materialization_once(bench: Bench) -> None:
    bench.registry = FakeRegistry([P, C])
    bench.serving.now = EndpointState(production=C, standby=P)
    bench.serving.transition(bench.serving.now.rollback(5.0), "rollback", "cli", "users complain")
    result = bench.reconcile()
    [event] = result.asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.asset_key == node(NAME, "endpoint")
    assert event.tags == {DATA_VERSION: "1"}
    assert metadata_value(event, "production") == P
    assert metadata_value(event, "reason") == "rollback by cli: users complain"
    assert bench.registry.calls == [("production", P), ("deprecated", C)]
    assert result.cursor == "1"
    again = bench.reconcile(result.cursor)
    assert not again.asset_events
    assert again.cursor == "1"


def test_several_shifts_are_one_report_of_where_traffic_is_now(bench: Bench) -> None:
    bench.serving.transition(EndpointState(production=P, candidate=C, weight=5), "start", "cli")
    bench.serving.transition(EndpointState(production=P), "expire", "lease", "nobody renewed it")
    [event] = bench.reconcile().asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert (metadata_value(event, "phase"), event.tags) == ("serving", {DATA_VERSION: "2"})
    assert metadata_value(event, "reason") == "expire by lease: nobody renewed it"


def test_what_a_run_recorded_staging_and_other_loops_are_not_reported(bench: Bench) -> None:
    state = bench.serving.now
    bench.serving.transition(state, "ramp", "run:77")
    bench.serving.transition(state, "stage", "cli")
    bench.serving.transition(state, "rollback", "cli", loop="other")
    result = bench.reconcile()
    assert not result.asset_events
    assert result.cursor == "2"


def test_a_silent_endpoint_does_not_keep_dead_runs_alive_nor_lose_shifts(bench: Bench) -> None:
    run = bench.run(retrain_job_name(NAME), S.STARTED, owner(1 << 22, 0.0))
    bench.serving.error = "the gateway does not answer"
    result = bench.reconcile("4")
    assert result.cursor == "4"
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.FAILURE
