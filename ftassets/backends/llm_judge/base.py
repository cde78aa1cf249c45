"""A model that scores answers, or chooses between two."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ftassets.domain.evaluation.llm_judge import Choice
from ftassets.errors import FtassetsError, ServerUnreachable


class NotJudged(FtassetsError):
    """The judge gave no score for this answer; the message says why."""


class JudgeUnreachable(NotJudged, ServerUnreachable):
    """The judge does not answer; the message says why and what to do, and never contains the key."""


@dataclass(frozen=True)
class Judgement:
    """1 (useless) to 5 (right and complete), and why in a sentence."""

    score: int
    reason: str


class LlmJudge(ABC):
    """One model behind one endpoint."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Digest of everything that shapes its scores: those of two identities are not compared."""

    @abstractmethod
    def judge(self, messages: Sequence[Mapping[str, Any]], answer: str) -> Judgement:
        """The score of the answer a model gave to these messages. Raises NotJudged, JudgeUnreachable."""


class PairwiseLlmJudge(ABC):
    """One model behind one endpoint, asked which of two answers is better."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Digest of everything that shapes its choices: those of two identities are not mixed."""

    @abstractmethod
    def compare(self, messages: Sequence[Mapping[str, Any]], first: str, second: str) -> Choice:
        """Which of two answers to these messages is better. Raises NotJudged, JudgeUnreachable."""
