"""Trainings that are killed at random moments and resumed, held against the bytes of the uninterrupted one.

A tiny model on two cores, with dropout and a checkpoint every third step. Each kill is SIGKILL or SIGTERM, anywhere from the start
of a process to its end; after some of them the machine is another one, which has nothing but the artefact store.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.rows import Row, Size, parse, parser, write
from ftassets.domain.training.job import TrainingJob
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_model import make_tiny_model

SIZES = {"kills": Size(20, 100, "processes that are killed")}
SETTINGS: dict[str, Any] = {"epochs": 20, "batch_size": 4, "lora_dropout": 0.3, "save_steps": 3, "learning_rate": 1e-3}
ANOTHER_MACHINE = 0.3  # share of kills after which the folder with the checkpoints is gone
TERM = 0.3  # share of SIGTERM


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the row; returns the exit code."""
    made = parser("resume", __doc__)
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments of the kills (default 0)")
    return write("resume", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Kill and resume until enough processes were killed and the last training is over."""
    dice = random.Random(options.seed)
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["FTASSETS_CACHE"] = str(folder / "cache")
        base = make_tiny_model(folder / "base")
        _start(tiny_job(folder / "first" / "job", base, epochs=0.5))  # converts the base
        os.wait()
        begun = time.monotonic()
        whole = tiny_job(folder / "whole" / "job", base, **SETTINGS)
        _start(whole)
        os.wait()
        seconds, wanted = time.monotonic() - begun, _versions(whole)
        assert wanted, "the uninterrupted training failed"
        kills, equal, other, number = 0, 0, 0, 0
        job = tiny_job(folder / f"killed{number}" / "job", base, **SETTINGS)
        while True:
            pid = _start(job)
            if kills < options.kills:
                time.sleep(dice.uniform(0, 0.5 * seconds))
                os.kill(pid, signal.SIGTERM if dice.random() < TERM else signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if status != 0:
                kills += 1
                if dice.random() < ANOTHER_MACHINE:
                    shutil.rmtree(job.checkpoints, ignore_errors=True)
                continue
            equal, other = equal + (_versions(job) == wanted), other + (_versions(job) != wanted)
            if kills >= options.kills:
                break
            number += 1
            job = tiny_job(folder / f"killed{number}" / "job", base, **SETTINGS)
    what = f"trainings with other bytes than the uninterrupted one, of {equal + other} that were killed {kills} times in all"
    yield Row(what, other, "trainings", "== 0", other == 0)


def _start(job: TrainingJob) -> int:
    """A process that trains; a fork, so that the libraries are imported once. The kills of its replicas follow from its own."""
    from ftassets.workers.process import TERMINATED, Terminated, set_up_libraries, terminations
    from ftassets.workers.training.sft import train

    set_up_libraries()
    _import()
    if pid := os.fork():
        return pid
    code = 1
    try:
        with terminations() as stop_asked:
            train(job, lambda _: None, 2, stop_asked)
        code = 0
    except Terminated:
        code = TERMINATED
    finally:
        os._exit(code)


def _import() -> None:
    import peft  # noqa: F401
    import torch
    import trl  # noqa: F401

    torch.set_num_threads(1)


def _versions(job: TrainingJob) -> list[str]:
    """Digests of what is published: the base and the trained version."""
    return sorted(path.name for path in job.versions.iterdir() if len(path.name) == 64)


if __name__ == "__main__":
    sys.exit(main())
