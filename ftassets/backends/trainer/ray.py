"""Training on a Ray cluster that the loop names; a process on this machine asks for it and takes in what it makes."""

from collections.abc import Sequence
from typing import Any

from ftassets.backends.trainer.base import Trainer
from ftassets.backends.trainer.outcome import result_of
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.metering import worker
from ftassets.workers.process import run_child, write_job


class RayTrainer(Trainer):
    """Runs `python -m ftassets.workers.training.on_ray`, which ends with this process and ends the workers then."""

    def __init__(self, command: Sequence[str] = ("-m", "ftassets.workers.training.on_ray")) -> None:
        self._command = command

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Write the job next to its data, run it, and return its result. Raises TrainingFailed."""
        with worker(job.work / "ray.json", elsewhere=True):  # the workers' share, by what they tell
            return result_of(job, run_child(self._command, write_job(job, job.work / "job.json"), context))
