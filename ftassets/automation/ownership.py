"""Which process executes a run, so that a run whose process is gone can be found and ended."""

import os
import socket
import time

import dagster as dg
import psutil

PID, CREATED, HOST = "ftassets/pid", "ftassets/process_created", "ftassets/host"
RUN_ID = "FTASSETS_RUN_ID"
GRACE = 60.0  # seconds a started run may take until it has named its process


def claim(instance: dg.DagsterInstance, run_id: str) -> None:
    """Write this process into the run's tags, and the run into the environment of what it starts; once per run."""
    if os.environ.get(RUN_ID) == run_id:
        return
    os.environ[RUN_ID] = run_id
    process = psutil.Process()
    instance.add_run_tags(run_id, {PID: str(process.pid), CREATED: f"{process.create_time():.2f}", HOST: socket.gethostname()})


def process_gone(record: dg.RunRecord) -> bool:
    """Whether a started run's process has ended; a run of another host is never judged."""
    tags = record.dagster_run.tags
    if PID not in tags:
        return time.time() - record.update_timestamp.timestamp() > GRACE
    if tags[HOST] != socket.gethostname():
        return False
    try:
        return f"{psutil.Process(int(tags[PID])).create_time():.2f}" != tags[CREATED]
    except psutil.NoSuchProcess:
        return True


def children_left(run_id: str) -> list[psutil.Process]:
    """Processes that were started for a run (its trainer, say) and outlived it."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_ID) == run_id and process.pid != os.getpid():
                left.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return left
