"""Training on a Ray cluster that the loop names; a process on this machine asks for it and takes in what it makes."""

import signal
from collections.abc import Sequence
from typing import Any

from ftassets.backends.trainer.base import Trainer, TrainingTerminated
from ftassets.backends.trainer.outcome import result_of
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.metering import worker
from ftassets.workers.process import run_child, write_job

_CRASHES = (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS)  # of the native library below Ray's client; the training itself is elsewhere


class RayTrainer(Trainer):
    """Runs `python -m ftassets.workers.training.on_ray`, which ends with this process and ends the workers then."""

    def __init__(self, command: Sequence[str] = ("-m", "ftassets.workers.training.on_ray")) -> None:
        self._command = command

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Write the job next to its data, run it, and return its result. Raises TrainingFailed."""
        with worker(job.work / "ray.json", elsewhere=True):  # the workers' share, by what they tell
            ended = run_child(self._command, write_job(job, job.work / "job.json"), context)
        if ended.code in _CRASHES:
            raise TrainingTerminated("Ray's client crashed: the training resumes from its last checkpoint")
        return result_of(job, ended)
