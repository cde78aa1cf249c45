"""Whose process executes a run, and what it left behind."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import dagster as dg
import psutil
import pytest
from dagster._core.utils import make_new_run_id

from ftassets.automation import ownership
from ftassets.automation.ownership import CREATED, HOST, PID, RUN_ID, children_left, claim, process_gone


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv(RUN_ID, "")  # claim() writes it: put back afterwards
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def started(instance: dg.DagsterInstance, **tags: str) -> str:
    run_id = make_new_run_id()
    instance.add_run(dg.DagsterRun(job_name="job", run_id=run_id, status=dg.DagsterRunStatus.STARTED, tags=tags))
    return run_id


def record(instance: dg.DagsterInstance, run_id: str) -> dg.RunRecord:
    [found] = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
    return found


def test_claim_names_this_process_in_tags_and_environment(instance: dg.DagsterInstance) -> None:
    run_id = started(instance)
    claim(instance, run_id)
    tags = record(instance, run_id).dagster_run.tags
    assert (tags[PID], tags[HOST]) == (str(os.getpid()), socket.gethostname())
    assert float(tags[CREATED]) == pytest.approx(psutil.Process().create_time(), abs=0.01)
    assert os.environ[RUN_ID] == run_id
    assert not process_gone(record(instance, run_id))


def test_claim_writes_once_per_run(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = started(instance), started(instance)
    claim(instance, first)
    written: list[str] = []
    monkeypatch.setattr(instance, "add_run_tags", lambda run_id, tags: written.append(run_id))
    claim(instance, first)
    claim(instance, second)
    assert written == [second]


def test_another_process_with_the_same_number_is_not_the_run_s(instance: dg.DagsterInstance) -> None:
    me = psutil.Process()
    run_id = started(instance, **{PID: str(me.pid), CREATED: f"{me.create_time() - 100:.2f}", HOST: socket.gethostname()})
    assert process_gone(record(instance, run_id))


def test_an_ended_process_is_gone(instance: dg.DagsterInstance) -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = psutil.Process(process.pid).create_time()
    run_id = started(instance, **{PID: str(process.pid), CREATED: f"{created:.2f}", HOST: socket.gethostname()})
    assert not process_gone(record(instance, run_id))
    process.communicate(b"\n")
    assert process_gone(record(instance, run_id))


def test_another_host_s_run_is_never_judged(instance: dg.DagsterInstance) -> None:
    run_id = started(instance, **{PID: str(1 << 22), CREATED: "0.00", HOST: "elsewhere"})
    assert not process_gone(record(instance, run_id))


def test_a_run_without_a_name_is_given_time(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    found = record(instance, started(instance))
    assert not process_gone(found)
    monkeypatch.setattr(ownership.time, "time", lambda: found.update_timestamp.timestamp() + ownership.GRACE + 1)
    assert process_gone(found)


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
