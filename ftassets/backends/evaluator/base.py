"""A model's answers to prompts, likelihoods of expected answers, metrics, and parity of its forms, outside the calling process."""

from abc import ABC, abstractmethod
from typing import Any

from ftassets.domain.evaluation.jobs import AnswerJob, Measurements, MetricsJob, PerplexityJob
from ftassets.domain.evaluation.parity import Agreement, ParityJob
from ftassets.errors import FtassetsError


class EvaluationFailed(FtassetsError):
    """The evaluation process ended without all outputs of its job."""


class EvaluationKilled(EvaluationFailed):
    """The evaluation process was killed from outside; one retry makes sense."""


class Evaluator(ABC):
    """Runs jobs: afterwards every output file of the job exists, or EvaluationFailed is raised.

    A file of answers is Parquet with columns id (string), answer (string), tokens_in (int64; files written before it was counted lack it),
    tokens_out (int64), truncated (bool), one row a prompt; one of likelihoods has id (string), nll (float64, nats), tokens (int64).
    """

    @abstractmethod
    def answer(self, job: AnswerJob, context: Any) -> None:
        """Write the answers, and what a candidate forgot if that is asked for. Raises EvaluationFailed.

        Files that exist already are kept, and batches that a killed process had finished.
        """

    @abstractmethod
    def perplexity(self, job: PerplexityJob, context: Any) -> None:
        """Write how likely each model finds the expected answers; files that exist already are kept. Raises EvaluationFailed."""

    @abstractmethod
    def measure(self, job: MetricsJob, context: Any) -> Measurements:
        """Write the metrics, anew when the file exists already, and return them. Raises EvaluationFailed."""

    @abstractmethod
    def parity(self, job: ParityJob, context: Any) -> Agreement:
        """Compare a candidate's forms, anew when the file exists already, and return what was found. Raises EvaluationFailed."""
