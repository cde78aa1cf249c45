"""Getting a model's answers to a set of prompts, and metrics of them, outside the calling process."""

from abc import ABC, abstractmethod
from typing import Any

from ftassets.domain.answers import AnswerJob, Measurements, MetricsJob


class EvaluationFailed(Exception):
    """The evaluation process ended without all answers or metrics."""


class EvaluationKilled(EvaluationFailed):
    """The process was killed from outside: worth one more try."""


class Evaluator(ABC):
    """Runs answer and metrics jobs: afterwards every output file of the job exists, or EvaluationFailed is raised.

    A file of answers is Parquet with columns id (string), answer (string), tokens_out (int64), truncated (bool), one row a prompt.
    """

    @abstractmethod
    def answer(self, job: AnswerJob, context: Any) -> None:
        """Write the answers; files that exist already are kept. Raises EvaluationFailed."""

    @abstractmethod
    def measure(self, job: MetricsJob, context: Any) -> Measurements:
        """Write the metrics, anew when the file exists already, and return them. Raises EvaluationFailed."""
