"""Vectors of queries, with what is needed to pick a window of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class QueryVector:
    """One embedded query: `at` in epoch seconds, vector of shape (d,)."""

    request_id: str
    at: float
    version: str
    text: str
    vector: np.ndarray


class VectorStore(ABC):
    """Query vectors of all loops, one collection a loop; opened for one call and closed after it."""

    @abstractmethod
    def add(self, loop: str, embedder: str, points: Sequence[QueryVector]) -> None:
        """Store points; a request id that is there already is replaced. Raises ValueError when the collection has another embedder."""

    @abstractmethod
    def window(self, loop: str, since: float, until: float, limit: int, seed: int = 0) -> list[QueryVector]:
        """A random sample, without replacement, of at most `limit` points with since <= at < until; ordered by time."""

    @abstractmethod
    def find(self, loop: str, request_ids: Sequence[str]) -> list[QueryVector]:
        """The points of these requests, ordered by time; a request that was not embedded has none."""

    @abstractmethod
    def count(self, loop: str, since: float = 0.0, until: float = float("inf")) -> int:
        """Points with since <= at < until."""

    @abstractmethod
    def watermark(self, loop: str) -> float:
        """Newest `at` stored for the loop; 0.0 without any."""

    @abstractmethod
    def remove(self, loop: str, request_ids: Sequence[str]) -> None:
        """Forget points; unknown ids are ignored."""
