"""Workers for tests that start and kill many: forked from a process that has imported the model libraries, ten seconds' work, once.

How a worker starts from nothing is tested in `test_entry.py` and in `e2e/`.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["ftassets_tests.workers.model_libraries"])


def nothing() -> None:
    """Nothing."""


def start(main: Callable[[], int], *arguments: Path, before: Callable[[], object] = nothing) -> BaseProcess:
    """A process that calls `before`, and then a worker's `main` with these arguments and this process's environment variables.

    What it writes to the terminal goes to `log_of` the first argument.
    """
    process = _FORKS.Process(target=_work, args=(main, arguments, before, dict(os.environ)))
    process.start()
    return process


def log_of(job_file: Path) -> Path:
    """The file with the output of a worker that was started with this job file."""
    return job_file.with_suffix(".log")


def _work(main: Callable[[], int], arguments: tuple[Path, ...], before: Callable[[], object], environment: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    log = os.open(log_of(arguments[0]), os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.argv = ["worker", *map(str, arguments)]
    before()
    sys.exit(main())
