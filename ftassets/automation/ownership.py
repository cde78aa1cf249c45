"""Which process executes a run, and whether it still does, so that a run whose worker is gone can be found and ended."""

import os
import socket
import threading
import time
import weakref
from pathlib import Path

import dagster as dg
import psutil
from dagster._core.launcher import DefaultRunLauncher, WorkerStatus

from ftassets.domain.run_worker import BEAT, SILENCE, Evidence, Finding, Place, Process, Word, judge

# Dagster does not show tags that begin so
PID, STARTED, HOST, MACHINE = (f".dagster/ftassets_{name}" for name in ("pid", "process_started", "host", "machine"))
EXECUTES = ".dagster/ftassets_executes"  # the run these are about: Dagster copies the tags of a run that is executed again
DIED = "ftassets/died"  # set by the reconcile sensor on runs whose worker is gone
HANDED_BACK = "ftassets/handed_back"  # a run that ended because `ftassets up` stopped has its own id here; the one after it continues it
RUN_ID = "FTASSETS_RUN_ID"
_PROC = Path("/proc")
_beaten: tuple["weakref.ref[dg.DagsterInstance]", str] | None = None  # the run whose log this process keeps writing into


def here() -> Place:
    """The place of this process."""
    namespace = _PROC / "self/ns/pid"
    return Place(
        socket.gethostname(),
        _line(Path("/etc/machine-id")),
        _line(_PROC / "sys/kernel/random/boot_id") or f"{psutil.boot_time():.0f}",
        os.readlink(namespace) if namespace.exists() else "",
    )


def mark(pid: int) -> str | None:
    """What tells a process from a later one of the same number; None if there is no such process or it has ended.

    On Linux the clock ticks between the start of the machine and its own, which no change of the clock moves.
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        if _PROC.is_dir():
            return None
    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.NoSuchProcess:
        return None


def died(run: dg.DagsterRun) -> bool:
    """Whether a run ended because its worker was gone: it decided nothing."""
    return run.tags.get(DIED) == "true"


def handed_back(run: dg.DagsterRun) -> bool:
    """Whether a run ended because `ftassets up` was stopped; Dagster copies its tags to the run that continues it."""
    return run.tags.get(HANDED_BACK) == run.run_id


def claim(instance: dg.DagsterInstance, run_id: str) -> None:
    """Name the run's worker in its tags, the run in the environment of what this process starts, and keep its log from falling silent."""
    global _beaten
    if os.environ.get(RUN_ID) == run_id:
        return
    os.environ[RUN_ID] = run_id
    run = instance.get_run_by_id(run_id)
    if run and (worker := _worker_of_this_step(instance, run_id)):
        place = worker.place
        machine = " ".join((place.machine or "-", place.boot or "-", place.namespace or "-"))
        tags = {EXECUTES: run_id, PID: str(worker.pid), STARTED: worker.started, HOST: place.host, MACHINE: machine}
        if DIED in run.tags:
            tags[DIED] = "false"  # that was the run before
        if any(run.tags.get(name) != value for name, value in tags.items()):
            instance.add_run_tags(run_id, tags)
    if _beaten is None:
        threading.Thread(target=_beat, name="run-beat", daemon=True).start()
    _beaten = (weakref.ref(instance), run_id)


def worker_of(run: dg.DagsterRun) -> Process | None:
    """The process a step named as the run's worker."""
    if run.tags.get(EXECUTES) != run.run_id:
        return None
    machine, boot, namespace = ("" if part == "-" else part for part in run.tags[MACHINE].split())
    return Process(int(run.tags[PID]), run.tags[STARTED], Place(run.tags[HOST], machine, boot, namespace))


def find_worker(instance: dg.DagsterInstance, record: dg.RunRecord, loop: str, silent: float) -> Finding:
    """Whether the worker of a run that has left the queue still executes it; `silent` seconds it has written nothing into its log."""
    run, place = record.dagster_run, here()
    worker = worker_of(run)
    at_home = worker is not None and worker.place == place  # then nothing else is asked
    launcher, own_start = (None, True) if at_home else _launcher(instance, run)
    return judge(
        Evidence(
            here=place,
            silent=silent,
            begun=record.start_time is not None,
            worker=worker,
            found=mark(worker.pid) if worker and at_home else None,
            launcher=launcher,
            own_start=own_start,
            foreign_step=silent >= SILENCE and not at_home and _foreign_step(instance, run.run_id, loop),
        )
    )


def last_line(instance: dg.DagsterInstance, record: dg.RunRecord) -> tuple[int, float]:
    """Number and time (epoch seconds) of the newest line of a run's log."""
    [*newest] = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    return (newest[0].storage_id, newest[0].timestamp) if newest else (0, record.create_timestamp.timestamp())


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


def _worker_of_this_step(instance: dg.DagsterInstance, run_id: str) -> Process | None:
    """This process or the one above it whose number the run's executor wrote into the log; None if it runs elsewhere."""
    announced = None
    for record in instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        if event and event.step_key is None and (pid := event.engine_event_data.metadata.get("pid")):
            announced = str(pid.value)
    me = psutil.Process()
    for process in (me, *me.parents()):
        if str(process.pid) == announced and (started := mark(process.pid)):
            return Process(process.pid, started, here())
    return None


def _launcher(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[Word | None, bool]:
    """What the launcher says about a run it launched, and whether starting one takes no more than a process of the code server."""
    if instance.get_run_stats(run.run_id).launch_time is None:
        return None, True  # the command line or a notebook executes it
    try:
        launcher = instance.run_launcher
        if not launcher.supports_check_run_worker_health:
            return None, isinstance(launcher, DefaultRunLauncher)
        status = launcher.check_run_worker_health(run).status
    except Exception:  # the launcher's cluster or its package may be out of reach from here; Dagster's run monitoring is not
        return Word.UNKNOWN, False
    return {
        WorkerStatus.RUNNING: Word.ALIVE,
        WorkerStatus.UNKNOWN: Word.UNKNOWN,
    }.get(status, Word.GONE), False  # SUCCESS too: the run was unfinished when its worker had ended


def _foreign_step(instance: dg.DagsterInstance, run_id: str, loop: str) -> bool:
    stats = instance.get_run_step_stats(run_id)
    return any(step.start_time and not step.end_time and not step.step_key.startswith(f"{loop}__") for step in stats)


def _beat() -> None:
    """Write a line into the log of the run that this process works for, every `BEAT` seconds until it has finished."""
    while True:
        time.sleep(BEAT)
        instance, run_id = (_beaten[0](), _beaten[1]) if _beaten else (None, "")
        if instance is None:
            continue
        try:
            run = instance.get_run_by_id(run_id)
            if run and not run.is_finished:
                instance.report_engine_event(f"process {os.getpid()} on {socket.gethostname()} still works for this run", run)
        except Exception:  # the storage is away for a moment: the next line tells as much
            continue


def _line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
