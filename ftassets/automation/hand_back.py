"""`python -m ftassets.automation.hand_back URL`: before `ftassets up` stops, ends its runs so that the next start continues them.

A training saves a checkpoint first. Each run is cancelled, which sends no alert, and put into Dagster's queue again from the step it was
in; the daemon, which `up` has stopped before, starts it when it runs again.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence

import dagster as dg
import psutil
from dagster._core.run_coordinator import QueuedRunCoordinator

from ftassets.assets._shared.run_nodes import BEYOND_THE_QUEUE
from ftassets.automation.instance import open_instance
from ftassets.automation.ownership import HANDED_BACK, children_left, here, mark, worker_of
from ftassets.config.home import Home
from ftassets.processes.up import MARK

GRACE = 25.0  # seconds that a training has for its checkpoint
_AGAIN = """
mutation ($run: String!) {
  launchRunReexecution(reexecutionParams: {parentRunId: $run, strategy: FROM_FAILURE, useParentRunTags: true}) {
    __typename ... on PythonError { message }
  }
}
"""


def hand_back(instance: dg.DagsterInstance, home: Home, url: str) -> tuple[list[str], list[str]]:
    """End the runs that this home's processes execute; ids of those that are queued again, and of those that could not be.

    `url` is Dagster's webserver. A run whose worker is not known yet is left alone: the reconcile sensor finds it.
    """
    again: list[str] = []
    lost: list[str] = []
    if not _has_queue(instance):  # another coordinator would start them at once
        return again, lost
    for run in instance.get_runs(dg.RunsFilter(statuses=BEYOND_THE_QUEUE)):
        worker = _worker(run, home)
        if worker is None:
            continue
        _end(instance, run, worker)
        (again if _queued_again(url, run.run_id) else lost).append(run.run_id)
    return again, lost


def _has_queue(instance: dg.DagsterInstance) -> bool:
    return isinstance(instance.run_coordinator, QueuedRunCoordinator)


def _worker(run: dg.DagsterRun, home: Home) -> psutil.Process | None:
    """The process that executes a run, if it is one of this home's."""
    worker = worker_of(run)
    if worker is None or worker.place != here() or mark(worker.pid) != worker.started:
        return None
    try:
        process = psutil.Process(worker.pid)
        return process if process.environ().get(MARK) == str(home.root.resolve()) else None
    except psutil.Error:
        return None


def _end(instance: dg.DagsterInstance, run: dg.DagsterRun, worker: psutil.Process) -> None:
    """Have what the run started end by itself, while the run cannot start it again; then cancel it and end its processes."""
    started = {process.pid: process for process in children_left(run.run_id)}
    executing = [worker, *(each for each in _below(worker) if each.pid not in started)]
    _each(executing, psutil.Process.suspend)
    _each(list(started.values()), psutil.Process.terminate)
    until = time.monotonic() + GRACE
    while time.monotonic() < until and any(map(_works, started.values())):
        time.sleep(0.1)
    instance.add_run_tags(run.run_id, {HANDED_BACK: run.run_id})
    # before its processes end: the code server calls a run failed whose process is gone
    instance.report_run_canceled(run, "ended because `ftassets up` was stopped; another run continues it at the next start")
    _each([*started.values(), *executing[::-1]], psutil.Process.kill)
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _works(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            act(process)
        except psutil.Error:
            continue


def _queued_again(url: str, run_id: str) -> bool:
    body = json.dumps({"query": _AGAIN, "variables": {"run": run_id}}).encode()
    request = urllib.request.Request(f"{url}/graphql", body, {"content-type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            found = json.load(answer)["data"]["launchRunReexecution"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"run {run_id} could not be queued again: {error}", file=sys.stderr)
        return False
    if found["__typename"] != "LaunchRunSuccess":
        print(f"run {run_id} could not be queued again: {found}", file=sys.stderr)
    return found["__typename"] == "LaunchRunSuccess"


def main(url: str) -> None:
    """Hand back the runs of the home in the environment; prints `{"again": [...], "lost": [...], "queue": whether Dagster has one}`."""
    home = Home.from_env()
    with open_instance(home) as instance:
        again, lost = hand_back(instance, home, url)
        queue = _has_queue(instance)
    print(json.dumps({"again": again, "lost": lost, "queue": queue}))


if __name__ == "__main__":
    os.environ.pop("FTASSETS_RUN_ID", None)
    main(sys.argv[1])
