"""Which process executes a run, and what it left behind."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import psutil
import pytest
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.plan.objects import StepSuccessData
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.utils import make_new_run_id

from ftassets.automation import ownership
from ftassets.automation.ownership import MACHINE, PID, RUN_ID, STARTED, children_left, claim, find_worker, here, mark, worker_of
from ftassets.domain.run_worker import SILENCE, Word


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv(RUN_ID, "")  # claim() writes it: put back afterwards
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(instance: dg.DagsterInstance, announced: int | None = None, **tags: str) -> str:
    """A started run whose executor wrote the number of its process into the log."""
    run_id = make_new_run_id()
    run = instance.add_run(dg.DagsterRun(job_name="job", run_id=run_id, tags=tags))
    instance.report_dagster_event(DagsterEvent("PIPELINE_START", "job"), run_id)
    if announced:
        instance.report_engine_event("Executing steps", run, EngineEventData.multiprocess(announced))
    return run_id


def record(instance: dg.DagsterInstance, run_id: str) -> dg.RunRecord:
    [found] = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
    return found


def word(instance: dg.DagsterInstance, run_id: str, silent: float = 0.0) -> Word:
    return find_worker(instance, record(instance, run_id), "loop", silent).word


def test_claim_names_this_process_in_tags_and_environment(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, os.getpid())
    claim(instance, run_id)
    worker = worker_of(record(instance, run_id).dagster_run)
    assert worker is not None
    assert (worker.pid, worker.place) == (os.getpid(), here())
    assert worker.started == mark(os.getpid())
    assert os.environ[RUN_ID] == run_id
    assert word(instance, run_id, 10 * SILENCE) is Word.ALIVE


def test_a_step_names_the_process_above_it_that_executes_the_run(instance: dg.DagsterInstance) -> None:
    parent = psutil.Process().parent()
    assert parent is not None
    run_id = started(instance, parent.pid)
    claim(instance, run_id)
    assert record(instance, run_id).dagster_run.tags[PID] == str(parent.pid)


def test_a_step_away_from_its_run_names_nobody(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, 1 << 22)
    claim(instance, run_id)
    assert worker_of(record(instance, run_id).dagster_run) is None
    assert (word(instance, run_id), word(instance, run_id, SILENCE)) == (Word.UNKNOWN, Word.GONE)


def test_claim_writes_once_per_run_and_only_what_is_new(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = started(instance, os.getpid()), started(instance, os.getpid())
    claim(instance, first)
    written: list[str] = []
    monkeypatch.setattr(instance, "add_run_tags", lambda run_id, tags: written.append(run_id))
    claim(instance, first)
    monkeypatch.setenv(RUN_ID, "")
    claim(instance, first)  # the next step of the run, in a process of its own
    claim(instance, second)
    assert written == [second]


def test_another_process_with_the_same_number_is_not_the_run_s(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, os.getpid())
    claim(instance, run_id)
    instance.add_run_tags(run_id, {STARTED: "1"})
    assert word(instance, run_id) is Word.GONE


def test_a_run_that_is_executed_again_has_the_tags_of_the_first_and_is_not_taken_for_it(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = started(instance, os.getpid())
    claim(instance, first)
    instance.add_run_tags(first, {STARTED: "1", ownership.DIED: "true"})
    again = started(instance, os.getpid(), **record(instance, first).dagster_run.tags)
    assert (word(instance, first), word(instance, again)) == (Word.GONE, Word.UNKNOWN)
    claim(instance, again)
    assert word(instance, again) is Word.ALIVE
    assert [ownership.died(record(instance, each).dagster_run) for each in (first, again)] == [True, False]


def test_an_ended_process_is_gone_also_before_it_is_reaped() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    begun = mark(process.pid)
    assert begun is not None
    assert mark(process.pid) == begun
    process.kill()
    deadline = time.monotonic() + 10
    while mark(process.pid) is not None:  # nobody has waited for it: it is a zombie now
        assert time.monotonic() < deadline
    process.wait()
    assert mark(process.pid) is None


def test_a_restart_and_another_container_are_told_apart(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = started(instance, os.getpid())
    claim(instance, run_id)
    assert len(record(instance, run_id).dagster_run.tags[MACHINE].split()) == 3
    now = here()
    monkeypatch.setattr(ownership, "here", lambda: replace(now, boot="later"))
    expected = Word.GONE if now.machine else Word.UNKNOWN
    assert word(instance, run_id) is expected
    monkeypatch.setattr(ownership, "here", lambda: replace(now, host="elsewhere", namespace="pid:[7]"))
    assert (word(instance, run_id), word(instance, run_id, SILENCE)) == (Word.UNKNOWN, Word.GONE)


class CheckedLauncher(DefaultRunLauncher):
    """Knows the state of a run's worker, as that of Kubernetes does."""

    status = WorkerStatus.RUNNING
    supports_check_run_worker_health = True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if self.status is WorkerStatus.NOT_FOUND:
            raise RuntimeError("no route to the cluster")
        return CheckRunHealthResult(self.status)


@pytest.mark.parametrize(
    ("status", "now", "later"),
    [
        (WorkerStatus.RUNNING, Word.ALIVE, Word.ALIVE),
        (WorkerStatus.FAILED, Word.GONE, Word.GONE),
        (WorkerStatus.SUCCESS, Word.GONE, Word.GONE),
        (WorkerStatus.UNKNOWN, Word.UNKNOWN, Word.GONE),
        (WorkerStatus.NOT_FOUND, Word.UNKNOWN, Word.GONE),
    ],
)
def test_a_launcher_that_checks_is_asked_about_what_it_launched(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, status: WorkerStatus, now: Word, later: Word
) -> None:
    launcher = CheckedLauncher()
    launcher.status = status
    monkeypatch.setattr(type(instance), "run_launcher", launcher)
    launched, by_hand = make_new_run_id(), started(instance)
    instance.add_run(dg.DagsterRun(job_name="job", run_id=launched))
    instance.report_dagster_event(DagsterEvent("PIPELINE_STARTING", "job"), launched)
    instance.report_dagster_event(DagsterEvent("PIPELINE_START", "job"), launched)
    assert (word(instance, launched), word(instance, launched, SILENCE)) == (now, later)
    assert (word(instance, by_hand), word(instance, by_hand, SILENCE)) == (Word.UNKNOWN, Word.GONE)


@pytest.mark.parametrize(("step", "expected"), [("loop__adapter", Word.GONE), ("their_report", Word.UNKNOWN)])
def test_a_step_that_is_not_ours_may_be_silent(instance: dg.DagsterInstance, step: str, expected: Word) -> None:
    run_id = started(instance)
    instance.report_dagster_event(DagsterEvent("STEP_START", "job", step_key=step), run_id)
    assert word(instance, run_id, SILENCE) is expected
    instance.report_dagster_event(DagsterEvent("STEP_SUCCESS", "job", step_key=step, event_specific_data=StepSuccessData(1.0)), run_id)
    assert word(instance, run_id, SILENCE) is Word.GONE


def test_a_process_keeps_the_log_of_its_run_from_falling_silent(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ownership, "BEAT", 0.01)
    monkeypatch.setattr(ownership, "_beaten", None)
    run_id = started(instance, os.getpid())
    claim(instance, run_id)
    deadline = time.monotonic() + 10
    first, _ = ownership.last_line(instance, record(instance, run_id))
    while ownership.last_line(instance, record(instance, run_id))[0] == first:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    instance.report_run_failed(record(instance, run_id).dagster_run)
    time.sleep(0.05)  # a line that was on its way
    last, _ = ownership.last_line(instance, record(instance, run_id))
    time.sleep(0.05)
    assert ownership.last_line(instance, record(instance, run_id))[0] == last
    monkeypatch.setattr(ownership, "BEAT", 3600.0)


def test_children_are_found_by_their_run_and_never_oneself(monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = make_new_run_id()
    monkeypatch.setenv(RUN_ID, run_id)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={**os.environ, RUN_ID: make_new_run_id()})
    try:
        deadline = time.monotonic() + 10
        while [process.pid for process in children_left(run_id)] != [child.pid]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        for process in (child, other):
            process.communicate(b"\n")
    assert children_left(run_id) == []
