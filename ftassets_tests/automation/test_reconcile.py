"""What happened behind Dagster's back, found and reported."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent
from dagster._core.execution.plan.objects import StepFailureData

from ftassets.assets._shared.events import DATA_VERSION, metadata_value, node
from ftassets.assets._shared.run_nodes import LOOP
from ftassets.automation import ownership, reconcile, runs
from ftassets.automation.jobs import retrain_job_name
from ftassets.automation.ownership import DIED
from ftassets.backends.control.audit import Sealer, entries, sealing
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.run_worker import SILENCE, Finding, Word
from ftassets_tests.automation.conftest import NAME, Bench, C, FakeRegistry, P, S


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, **environment})


def owner(process: int, **other: str) -> dict[str, str]:
    """The tags that name a process of this machine as a run's worker."""
    place = ownership.here()
    machine = " ".join(part or "-" for part in (place.machine, place.boot, place.namespace))
    known = {ownership.PID: str(process), ownership.STARTED: ownership.mark(process) or "1"}
    return {**known, ownership.HOST: place.host, ownership.MACHINE: machine, **other}


GONE = 1 << 22  # no process has this number


def test_a_run_whose_process_is_gone_is_failed_and_its_trainer_ended(bench: Bench) -> None:
    process = sleeper()
    tags = owner(process.pid)
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
    assert bench.registry.calls == [("ended", run.run_id)]
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.FAILURE
    assert ended.tags[DIED] == "true"
    assert not runs.retrain_running(bench.instance, NAME)


def test_a_living_run_another_host_s_and_a_young_one_are_left_alone(bench: Bench) -> None:
    bench.run(retrain_job_name(NAME), S.STARTED, owner(os.getpid()))
    bench.run(retrain_job_name(NAME), S.STARTED, owner(GONE, **{ownership.HOST: "elsewhere"}))
    bench.run(retrain_job_name(NAME), S.STARTED)
    bench.run(retrain_job_name("other"), S.STARTED, {LOOP: "other", **owner(GONE)})
    result = bench.reconcile()
    assert result.skip_reason is not None
    assert result.skip_reason.skip_message == "nothing to report"
    assert len(bench.instance.get_run_records(dg.RunsFilter(statuses=[S.STARTED]))) == 4


def test_a_dead_run_gives_back_its_place_in_a_pool(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        bench = Bench(instance, Home(tmp_path))
        run = bench.run_of("adapter", status=S.STARTED, tags=owner(GONE))
        storage = instance.event_log_storage
        storage.set_concurrency_slots("trainer", 1)
        assert storage.claim_concurrency_slot("trainer", run.run_id, f"{NAME}__adapter").is_claimed
        assert storage.get_concurrency_info("trainer").active_slot_count == 1
        bench.reconcile()
        assert storage.get_concurrency_info("trainer").active_slot_count == 0


@pytest.mark.parametrize("status", [S.STARTING, S.STARTED])
def test_a_run_of_selected_assets_is_ended_too_and_frees_the_loop(bench: Bench, status: dg.DagsterRunStatus) -> None:
    run = bench.run_of("adapter", "eval_report", status=status, tags=owner(GONE))
    other = bench.run_of("adapter", status=status, tags=owner(GONE), loop="other")
    assert runs.retrain_running(bench.instance, NAME)
    bench.reconcile()
    ended, left = (bench.instance.get_run_by_id(each.run_id) for each in (run, other))
    assert ended is not None
    assert left is not None
    assert (ended.status, ended.tags[DIED], left.status) == (S.FAILURE, "true", status)
    assert not runs.retrain_running(bench.instance, NAME)


def test_a_dead_run_that_was_to_be_cancelled_is_cancelled_and_not_tried_again(bench: Bench) -> None:
    run = bench.run(retrain_job_name(NAME), S.CANCELING, owner(GONE))
    bench.reconcile()
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.CANCELED
    assert DIED not in ended.tags


def test_a_run_without_a_known_worker_is_ended_once_it_is_silent(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.run(retrain_job_name(NAME), S.STARTED)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(reconcile, "time", SimpleNamespace(monotonic=lambda: clock.now))
    watch = reconcile.Watch(NAME)
    for at in (0.0, SILENCE - 1):
        clock.now = at
        assert watch.end_dead_runs(bench.instance) == []
    bench.instance.report_engine_event("a step waits for a pool", run)
    for at in (SILENCE, 2 * SILENCE - 1):
        clock.now = at
        assert watch.end_dead_runs(bench.instance) == []
    clock.now = 2 * SILENCE
    assert watch.end_dead_runs(bench.instance) == [run.run_id]
    assert watch.end_dead_runs(bench.instance) == []


def test_a_run_that_finished_while_it_was_judged_stays_a_success(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.run(retrain_job_name(NAME), S.STARTED, owner(GONE))

    def finished_meanwhile(*given: Any) -> Finding:
        bench.instance.report_dagster_event(DagsterEvent("PIPELINE_SUCCESS", run.job_name), run.run_id)
        return Finding(Word.GONE, "its process is gone")

    monkeypatch.setattr(ownership, "find_worker", finished_meanwhile)
    assert reconcile.Watch(NAME).end_dead_runs(bench.instance) == []
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.SUCCESS


def test_a_run_that_its_code_server_failed_is_tried_again_and_one_with_a_failed_step_is_not(bench: Bench) -> None:
    died, refused = (bench.run_of("adapter", status=S.STARTED) for _ in range(2))
    step = DagsterEvent("STEP_FAILURE", "job", step_key=f"{NAME}__adapter", event_specific_data=StepFailureData(None, None))
    bench.instance.report_dagster_event(step, refused.run_id)
    for run in (died, refused):
        bench.instance.report_run_failed(run)
    watch = reconcile.Watch(NAME)
    assert watch.end_dead_runs(bench.instance) == [died.run_id]
    assert watch.end_dead_runs(bench.instance) == []


def test_a_shift_from_the_command_line_becomes_an_endpoint_materialization_once(bench: Bench) -> None:
    bench.registry = FakeRegistry([P, C])
    bench.serving.now = EndpointState(production=C, standby=P)
    bench.serving.transition(bench.serving.now.rollback(5.0), "rollback", "cli", "users complain")
    result = bench.reconcile()
    [event] = result.asset_events
    assert isinstance(event, dg.AssetMaterialization)
    assert event.asset_key == node(NAME, "endpoint")
    assert event.tags == {DATA_VERSION: "1"}
    assert metadata_value(event, "production") == P[:12]
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
    run = bench.run(retrain_job_name(NAME), S.STARTED, owner(GONE))
    bench.serving.error = "the gateway does not answer"
    result = bench.reconcile("4")
    assert result.cursor == "4"
    ended = bench.instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status is S.FAILURE


def test_a_rollback_gets_a_note_and_an_observation_once_the_traffic_since_tells_something(bench: Bench) -> None:
    bench.serving.now = EndpointState(production=P)
    start = time.time() - 100
    bench.serving.transition(bench.serving.now.start(C, 20, 600, start), "start", "run:1", "passed", at=start)
    bench.traffic.answer(C)
    bench.serving.transition(bench.serving.now.rollback(start + 90), "rollback", "anna", "wrong rooms", at=start + 90)
    note = Path(control(bench.home).uri(f"incidents/{NAME}/2.md"))
    cursor = bench.reconcile().cursor
    assert not note.exists(), "too early to say whether traffic moved"
    bench.serving.transitions[-1] = replace(bench.serving.transitions[-1], at=start + 60)
    bench.traffic.answer(P)
    bench.reconcile(cursor)
    assert "**no**: 1 of 2 requests since then were answered by it." in note.read_text(), "the log has an answer of it after the rollback"
    assert "| rollback | anna |" in note.read_text()
    [record] = bench.instance.fetch_observations(node(NAME, "endpoint"), limit=5).records
    observation = record.asset_observation
    assert observation is not None
    assert {name: observation.metadata[name].value for name in ("version", "by", "traffic moved", "file")} == {
        "version": C[:12], "by": "anna", "traffic moved": "NO", "file": str(note)
    }  # fmt: skip
    bench.reconcile(cursor)
    assert len(bench.instance.fetch_observations(node(NAME, "endpoint"), limit=5).records) == 1


def test_what_was_decided_comes_into_the_audit_chain_and_a_lock_that_is_held_stops_no_tick(bench: Bench) -> None:
    stores = control(bench.home)
    bench.pause("holiday")
    bench.reconcile()
    assert [entry.says for entry in entries(stores)] == [f"{NAME}: pause by anna: holiday"]
    bench.pause("once more")
    with sealing(stores, bench.signer, 1.0):
        assert bench.reconcile().skip_reason is not None
    with Sealer().sealing(stores, bench.signer, 2.0, timeout=0.0) as head:
        assert head.number == 2
