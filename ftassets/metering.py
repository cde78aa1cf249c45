"""What this process and those it starts use, measured while they work, so that a kill hides the last seconds only."""

import os
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from pydantic import ValidationError

from ftassets.domain.spending.usage import Usage
from ftassets.durable import write_durably

EVERY = 10.0  # seconds between two measurements at most
FIRST = 0.5  # seconds to the first; from then on a quarter of the time so far, as short work that is killed must not look free

_meters: list["Meter"] = []  # those of this process that run, the innermost last
os.register_at_fork(after_in_child=_meters.clear)  # its parent measures it; the lock of a copy may be held by a thread that is not there


class Meter:
    """Measures this process and what it starts, from now on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = self._sampled = time.monotonic()
        self._own, self._waited_for = _cpu(resource.RUSAGE_SELF), _cpu(resource.RUSAGE_CHILDREN)
        self._before = _below()
        self._seen: dict[tuple[int, float], float] = {}
        self._gpu_seconds = 0.0
        self._counts: Counter[str] = Counter()
        self._workers: dict[Path, bool] = {}
        self._ended_workers = Usage()

    def count(self, **tokens: int) -> None:
        """Add tokens, by their names in `Usage`."""
        with self._lock:
            self._counts.update(tokens)

    @contextmanager
    def worker(self, job_file: Path, elsewhere: bool) -> Iterator[None]:
        """While a worker does a job and leaves what it uses next to its file; its CPU time is known here unless it is `elsewhere`."""
        usage_file(job_file).unlink(missing_ok=True)
        with self._lock:
            self._workers[job_file] = elsewhere
        try:
            yield
        finally:
            with self._lock:
                self._ended_workers += _of_worker(job_file, self._workers.pop(job_file))

    def usage(self) -> Usage:
        """What was used until now."""
        with self._lock:
            now = time.monotonic()
            if not self._workers:  # a worker counts the GPU that it holds
                self._gpu_seconds += (now - self._sampled) * _gpus()
            self._sampled = now
            own = _cpu(resource.RUSAGE_SELF) - self._own
            for process, seconds in _below().items():
                self._seen[process] = seconds - self._before.get(process, 0.0)
            # both miss something: the first what nobody waited for, as of the children of a process that was killed; the second what
            # a process did after it was last seen
            started = max(_cpu(resource.RUSAGE_CHILDREN) - self._waited_for, sum(self._seen.values()))
            here = Usage(
                cpu_seconds=own + started, gpu_seconds=self._gpu_seconds, wall_seconds=now - self._begun, **dict(self._counts)
            )  # fmt: skip
            return sum((_of_worker(*each) for each in self._workers.items()), here + self._ended_workers)


@contextmanager
def metered(keep: Callable[[Usage], None]) -> Iterator[Meter]:
    """Measure the block, and have the usage so far kept at once, at least every `EVERY` seconds, and at its end, however it ends.

    `keep` is called by another thread too; what it raises at the begin is passed on, later it is ignored: the next call has it all.
    """
    meter, over = Meter(), threading.Event()
    keep(meter.usage())

    def watch() -> None:
        begun = time.monotonic()
        while not over.wait(min(EVERY, max(FIRST, (time.monotonic() - begun) / 4))):
            _try(keep, meter)

    watcher = threading.Thread(target=watch, name="metering", daemon=True)
    watcher.start()
    _meters.append(meter)
    try:
        yield meter
    finally:
        if meter in _meters:  # not in a process that was forked off inside the block
            _meters.remove(meter)
            over.set()
            watcher.join()
            _try(keep, meter)


def count(**tokens: int) -> None:
    """Tokens that this process used, by their names in `Usage`; for whoever measures it, if anybody does."""
    if _meters:
        _meters[-1].count(**tokens)


@contextmanager
def worker(job_file: Path, elsewhere: bool = False) -> Iterator[None]:
    """While a worker does the job of a file: what it says it uses counts as used by this process.

    `elsewhere`: it is not started by this process, as in a pod, so that its CPU time is known by its own word alone.
    """
    if not _meters:
        yield
        return
    with _meters[-1].worker(job_file, elsewhere):
        yield


@contextmanager
def metered_worker(job_file: Path) -> Iterator[None]:
    """Measure the block, which is a worker's whole work, and leave its usage next to the job's file for who started it."""
    with metered(lambda usage: write_durably(usage_file(job_file), usage.model_dump_json())):
        yield


def usage_file(job_file: Path) -> Path:
    """Where a worker leaves what it used so far."""
    return job_file.with_suffix(".usage")


def _try(keep: Callable[[Usage], None], meter: Meter) -> None:
    try:
        keep(meter.usage())
    except OSError:
        return


def _of_worker(job_file: Path, elsewhere: bool) -> Usage:
    try:
        said = Usage.model_validate_json(usage_file(job_file).read_bytes())
    except (OSError, ValidationError):  # it has not begun
        return Usage()
    return said.model_copy(update={"wall_seconds": 0.0, **({} if elsewhere else {"cpu_seconds": 0.0})})


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _below() -> dict[tuple[int, float], float]:
    """CPU seconds of each process that this one started, or they did, by what tells it from a later one of its number."""
    found = {}
    for process in psutil.Process().children(recursive=True):
        try:
            times = process.cpu_times()
            found[process.pid, process.create_time()] = times.user + times.system
        except psutil.Error:
            continue
    return found


def _gpus() -> int:
    """GPUs on which this process holds memory."""
    cuda: Any = getattr(sys.modules.get("torch"), "cuda", None)  # another thread may be importing it now
    if not hasattr(cuda, "is_initialized") or not cuda.is_initialized():
        return 0
    return sum(cuda.memory_reserved(device) > 0 for device in range(cuda.device_count()))
