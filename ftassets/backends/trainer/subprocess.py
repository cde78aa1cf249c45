"""Training in a process of its own on this machine, started through Dagster Pipes."""

import sys
from collections.abc import Sequence
from typing import Any

from ftassets.backends.trainer.base import Trainer
from ftassets.backends.trainer.outcome import result_of
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.workers.process import run_child, write_job


class SubprocessTrainer(Trainer):
    """Runs `python -m ftassets.workers.training` and takes its word only when the published version is there."""

    def __init__(self, command: Sequence[str] = ("-m", "ftassets.workers.training"), python: str = sys.executable) -> None:
        self._command, self._python = command, python

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Write the job next to its data, run it, and return its result. Raises TrainingFailed."""
        return result_of(job, run_child(self._command, write_job(job, job.work / "job.json"), context, self._python))
