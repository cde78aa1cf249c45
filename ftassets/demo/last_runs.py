"""The end of the demo: runs in progress finish or are canceled, so that nothing is left to fail when the processes stop."""

import time
from collections.abc import Callable
from contextlib import suppress
from xmlrpc.client import Fault

import dagster as dg

from ftassets.assets._shared.run_nodes import UNFINISHED
from ftassets.automation.instance import open_instance
from ftassets.config.home import Home
from ftassets.processes.supervisor_client import call

CANCEL_LIMIT = 20.0  # seconds a run may take to end after it was told to
LOOK = 1.0
WAITING = {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED}  # without the daemon they never start


def end_runs(home: Home, limit: float, say: Callable[[str], None] = lambda _: None) -> None:
    """Stop the daemon, so that no further run starts; wait `limit` seconds for runs in progress, then cancel those left.

    The run's own process is asked to end. One that does not is reported as canceled all the same: the processes stop next.
    """
    with suppress(OSError, Fault):  # there is no daemon (any more)
        call(home.processes, "stopProcess", "ftassets:daemon")
    with open_instance(home) as instance:
        _until(instance, limit, lambda run: run.status not in WAITING, say)
        for run in _left(instance):
            with suppress(Exception):  # its code server may be gone
                instance.run_coordinator.cancel_run(run.run_id)
        _until(instance, CANCEL_LIMIT, lambda _: True, say)
        for run in _left(instance):
            instance.report_run_canceled(run)


def _until(instance: dg.DagsterInstance, limit: float, counts: Callable[[dg.DagsterRun], bool], say: Callable[[str], None]) -> None:
    """Wait until no run that counts is left, `limit` seconds at most."""
    end = time.monotonic() + limit
    while (left := [run for run in _left(instance) if counts(run)]) and time.monotonic() < end:
        say(f"waiting for the end of {', '.join(sorted({run.job_name for run in left}))}")
        time.sleep(LOOK)


def _left(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)))
