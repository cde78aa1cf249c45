"""Runs at the end of the demo, in a real instance; the processes are gone, as when somebody killed them."""

import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from ftassets.automation.instance import open_instance
from ftassets.config.home import Home
from ftassets.demo import last_runs
from ftassets.demo.last_runs import end_runs


@dg.job
def work() -> None:
    """A job whose runs only have a status."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_DAGSTER_STORAGE", "")  # set again by open_instance, and back after the test
    monkeypatch.setattr(last_runs, "CANCEL_LIMIT", 0.2)
    monkeypatch.setattr(last_runs, "LOOK", 0.05)
    made = Home(tmp_path)
    made.dagster_storage.mkdir(parents=True)
    return made


def test_what_is_in_progress_ends_or_is_canceled_and_never_fails(home: Home) -> None:
    with open_instance(home) as instance:
        done, _, _ = (
            instance.create_run_for_job(work, status=status)
            for status in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.NOT_STARTED)
        )

        def finish() -> None:
            time.sleep(0.5)
            instance.report_dagster_event(dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, work.name), done.run_id)

        said: list[str] = []
        worker = threading.Thread(target=finish)
        worker.start()
        end_runs(home, 1.5, said.append)
        worker.join()
        statuses = [record.dagster_run.status for record in instance.get_run_records(ascending=True)]
        assert statuses == [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.CANCELED, dg.DagsterRunStatus.CANCELED]
        assert said[0] == "waiting for the end of work"


def test_without_time_nothing_is_waited_for(home: Home) -> None:
    with open_instance(home) as instance:
        run = instance.create_run_for_job(work, status=dg.DagsterRunStatus.NOT_STARTED)
        begin = time.monotonic()
        end_runs(home, 0)
        assert time.monotonic() - begin < 5
        assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED
        end_runs(home, 0)
