"""Running a training somewhere and getting its result back."""

from abc import ABC, abstractmethod
from typing import Any

from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.errors import FtassetsError


class TrainingFailed(FtassetsError):
    """Training ended without a complete result; the message says what to change."""


class TrainingKilled(TrainingFailed):
    """The training process was killed from outside; one retry makes sense."""


class TrainingTerminated(TrainingKilled):
    """The training process was asked to end, as a node that is taken away asks, and left a checkpoint."""


class Trainer(ABC):
    """Runs a training job; heavy libraries stay out of the calling process."""

    @abstractmethod
    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        """Train and return the result; `context` is the Dagster execution context. Raises TrainingFailed."""
