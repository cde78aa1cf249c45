"""The trainer that a loop asks for: a Ray cluster if it names one, else the profile's."""

from typing import Any

from ftassets.backends.trainer.base import Trainer
from ftassets.domain.training.job import TrainingJob, TrainingResult


class TrainerByLoop(Trainer):
    """Two trainers, one of which is taken for each job. `usual` is the profile's."""

    def __init__(self, usual: Any, on_ray: Trainer) -> None:
        self.usual, self.on_ray = usual, on_ray

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Train where the job says; a command of the user's and an alignment run where the profile trains. Raises TrainingFailed."""
        trainer: Trainer = self.on_ray if job.train.ray and not job.train.command and not job.align else self.usual
        return trainer.train(job, context)

    def check(self) -> str:
        """The check of the profile's trainer, for one on a server. Raises TrainingFailed."""
        return self.usual.check()
