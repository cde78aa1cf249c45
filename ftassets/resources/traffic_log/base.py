"""Requests, answers and feedback of all loops: what the gateway writes and everything else reads."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass


class UnknownAnswer(Exception):
    """Feedback names an answer that the log does not have."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer. Times in epoch seconds, durations in milliseconds, tokens as the engine counted them."""

    id: str
    loop: str
    version: str
    user: str  # salted hash of the sticky key; never the key itself
    prompt: str  # text of the last user message
    messages: str  # JSON of the request's messages
    answer: str
    status: int  # HTTP status the client got
    at: float
    latency_ms: float
    first_token_ms: float | None
    tokens_in: int | None
    tokens_out: int | None
    share: float  # probability, 0..1, with which this version was to answer
    error: str | None = None


@dataclass(frozen=True)
class Feedback:
    """What a user said of an answer: rating is up or down, correction the answer it should have been."""

    request_id: str
    at: float
    rating: str | None
    correction: str | None


@dataclass(frozen=True)
class Reviewed:
    """An exchange with the newest feedback on it."""

    exchange: Exchange
    feedback: Feedback


class TrafficLog(ABC):
    """Append-only log; a row is durable when the call returns."""

    @abstractmethod
    def append(self, exchanges: Sequence[Exchange]) -> None:
        """Store finished exchanges; an id that is there already is ignored."""

    @abstractmethod
    def add_feedback(self, feedback: Feedback) -> None:
        """Store feedback. Raises UnknownAnswer."""

    @abstractmethod
    def exchanges(self, loop: str, since: float = 0.0, until: float = float("inf"), limit: int | None = None) -> list[Exchange]:
        """Exchanges with since <= at < until, oldest first."""

    @abstractmethod
    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        """Exchanges since then that have feedback, oldest first."""

    @abstractmethod
    def count(self, loop: str, since: float = 0.0) -> int:
        """Exchanges since then."""
