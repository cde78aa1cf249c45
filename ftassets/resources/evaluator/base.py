"""Getting a model's answers to a set of prompts, outside the calling process."""

from abc import ABC, abstractmethod
from typing import Any

from ftassets.domain.answers import AnswerJob


class EvaluationFailed(Exception):
    """The evaluation process ended without all answers."""


class EvaluationKilled(EvaluationFailed):
    """The process was killed from outside: worth one more try."""


class Evaluator(ABC):
    """Runs an answer job: afterwards every output file of the job exists, or EvaluationFailed is raised.

    Each file is Parquet with columns id (string), answer (string), tokens_out (int64), truncated (bool), one row a prompt.
    """

    @abstractmethod
    def answer(self, job: AnswerJob, context: Any) -> None:
        """Write the answers; files that exist already are kept. Raises EvaluationFailed."""
