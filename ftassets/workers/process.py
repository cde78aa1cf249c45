"""What every working process we start does: say how far it is, end with its parent, leave one sentence when it fails."""

import ctypes
import gc
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ftassets.durable import write_durably
from ftassets.errors import FtassetsError, InvalidInput, in_one_line
from ftassets.exits import debugging, ending
from ftassets.metering import metered_worker, worker

Job = TypeVar("Job", bound=BaseModel)

Report = Callable[[str], None]
_PR_SET_PDEATHSIG = 1
KILLED = 137  # how a shell or a container says that SIGKILL ended a process
TERMINATED = 143  # the same of SIGTERM


class Terminated(FtassetsError):
    """A process ended because it was asked to; the message says from where it can go on."""


@contextmanager
def terminations() -> Iterator[Callable[[], bool]]:
    """Inside the block SIGTERM and SIGINT end nothing: a function says whether one came, for work that must end where it can go on.

    For the main thread only, which is the one that gets signals.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda number, _: came.append(number)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone; on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_parent(poll_every: float = 2.0) -> None:
    """End this process when the one that started it is gone: at once on Linux, else within `poll_every` seconds."""
    parent = os.getppid()
    end_with_parent()

    def watch() -> None:
        # also covers a parent that died before prctl took effect
        while os.getppid() == parent and parent != 1:
            time.sleep(poll_every)
        os.kill(os.getpid(), signal.SIGKILL)

    if parent != 1:
        threading.Thread(target=watch, name="parent-watch", daemon=True).start()


@contextmanager
def reporting() -> Iterator[tuple[Report, Callable[[dict], None]]]:
    """Two functions: one that reports progress, one that reports a result; to Dagster when it launched us, else to the terminal."""
    from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes

    if not PipesEnvVarParamsLoader().is_dagster_pipes_process():
        yield lambda text: print(text, flush=True), lambda result: None
        return
    with open_dagster_pipes() as pipes:
        yield pipes.log.info, pipes.report_custom_message


def failure_file(job_file: Path) -> Path:
    """Where a process leaves the sentence that says why it failed."""
    return job_file.with_suffix(".failed")


# what the model libraries read as they are imported: no telemetry, no progress bars between our lines, no thread pool that a
# fork breaks; and nothing compiled just in time, for which bitsandbytes would take two seconds' imports in every process
LIBRARY_SETTINGS = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",  # transformers' too
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCHDYNAMO_DISABLE": "1",
}


def set_up_libraries() -> None:
    """Settings of the model libraries for this process, before it imports them; what the environment has stays."""
    for name, value in LIBRARY_SETTINGS.items():
        os.environ.setdefault(name, value)
    # it warns each process on a CPU that a package for faster kernels is not installed, which nobody here needs
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def import_libraries(*modules: str) -> None:
    """Import large modules, those that are there, and take what they hold out of every search for garbage.

    A search while they come in finds nothing and takes a fifth of the time; each later one would go through a million objects.
    """
    gc.disable()
    try:
        for module in modules:
            with suppress(ImportError):  # who needs it says so
                import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def work_off(job_file: Path, kind: type[Job], do: Callable[[Job, Report], dict]) -> int:
    """Body of a working process: reads its job, does it, reports the result.

    Exit code: 0 when done, 143 for Terminated, 2 for any other FtassetsError, 1 for any other error; all but the first leave a
    sentence in the failure file when there is a job file. 137 when one of its forks was killed, as if it had been killed itself.
    """
    die_with_parent()
    with reporting() as (report, deliver):
        try:
            job = read_job(job_file, kind)
            set_up_libraries()
            with metered_worker(job_file):
                result = do(job, report)
            deliver(result)
        except BrokenProcessPool:
            return KILLED
        except Exception as error:
            found = ending(error)
            if found.bug or debugging():
                traceback.print_exc()
            print(f"failed: {found.sentence}", file=sys.stderr)
            if job_file.is_file():
                write_durably(failure_file(job_file), found.sentence)
            return TERMINATED if isinstance(error, Terminated) else 2 if isinstance(error, FtassetsError) else found.code
    return 0


def read_job(job_file: Path, kind: type[Job]) -> Job:
    """The job that `write_job` wrote. Raises InvalidInput without the values of its fields, OSError."""
    try:
        return kind.model_validate_json(job_file.read_bytes())
    except ValidationError as error:
        raise InvalidInput(f"{job_file} is not a job of this release: {in_one_line(error)}") from error


@dataclass(frozen=True)
class Ended:
    """How a process we waited for came to its end: messages it reported, exit code, and its own words if it failed."""

    messages: Sequence[Any]
    code: int
    said: str | None

    @property
    def killed(self) -> bool:
        """Whether SIGKILL ended it, as the kernel does when memory runs out."""
        return self.code in (-signal.SIGKILL, KILLED)

    @property
    def terminated(self) -> bool:
        """Whether it ended because it was asked to, as by whoever takes its machine away."""
        return self.code in (-signal.SIGTERM, TERMINATED)


def environment() -> dict[str, str]:
    """Environment variables of every worker, in addition to its own: no access to the hub, unless allowed explicitly."""
    return {
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "OMP_NUM_THREADS": "1",  # the work is shared out to processes: threads of one gain nothing with a small model
    }


def write_job(job: BaseModel, job_file: Path) -> Path:
    """Write what a process is to do, without the last words of an earlier attempt. Returns the file."""
    failure_file(job_file).unlink(missing_ok=True)
    write_durably(job_file, job.model_dump_json(indent=2))
    return job_file


def last_words(job_file: Path) -> str | None:
    """The sentence a failed process left, if it left one."""
    return failure_file(job_file).read_text(encoding="utf-8") if failure_file(job_file).exists() else None


def run_child(module: Sequence[str], job_file: Path, context: Any, python: str = sys.executable) -> Ended:
    """Run `python -m MODULE JOB` over Dagster Pipes and wait; `context` is the Dagster execution context.

    `write_job` wrote the job. The process gets no hub and ends with this one.
    """
    from dagster import PipesSubprocessClient

    try:
        with worker(job_file):
            done = PipesSubprocessClient().run(context=context, command=[python, *module, str(job_file)], env=environment())
    except Exception as error:
        # the class Dagster raises is private; its message is the only place that has the exit code
        code = re.search(r"process failed with code (-?\d+)", str(error))
        if code is None:
            raise
        return Ended((), int(code[1]), last_words(job_file))
    return Ended(done.get_custom_messages(), 0, None)


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
