"""Runs that only look as if they were running, for people: what `ftassets doctor` and `ftassets status` say about them."""

import time
from collections.abc import Iterable

import dagster as dg

from ftassets.assets._shared.run_nodes import BEYOND_THE_QUEUE, about, nodes_of
from ftassets.automation.ownership import find_worker, last_line
from ftassets.domain.run_worker import SILENCE, Word


def stuck_runs(instance: dg.DagsterInstance, loops: Iterable[str]) -> dict[str, list[str]]:
    """Sentences about the runs of each loop that hold it up although nothing executes them; loops without one are left out."""
    found: dict[str, list[str]] = {}
    records = instance.get_run_records(dg.RunsFilter(statuses=BEYOND_THE_QUEUE))
    for loop in loops:
        for record in records:
            run = record.dagster_run
            if not about(instance, run, loop):
                continue
            silent = time.time() - last_line(instance, record)[1]
            finding = find_worker(instance, record, loop, silent)
            if finding.word is Word.GONE:
                then = (
                    f"the sensor {loop}__reconcile ends it at its next tick: see in the Dagster UI that it is on, its code location is"
                    " loaded and the daemon runs, or terminate the run there"
                )
            elif finding.word is Word.UNKNOWN and silent >= SILENCE:
                then = "read its log in the Dagster UI, and terminate it there if it is dead"
            else:
                continue
            what = ", ".join(sorted(nodes_of(instance, run, loop))) or run.job_name
            found.setdefault(loop, []).append(f"run {run.run_id[:8]} ({what}) is {run.status.value}, but {finding.reason}: {then}")
    return found
