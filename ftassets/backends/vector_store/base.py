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
    """Query vectors of all loops, opened for one call and closed after it.

    One collection for each loop and embedder id: vectors of two embedders never meet. A collection that does not exist is empty.
    `bounded`: each call costs what the whole collection does, so that it must not grow without limit.
    """

    bounded = False

    @abstractmethod
    def add(self, loop: str, embedder: str, points: Sequence[QueryVector]) -> None:
        """Store points; a request id that is there already is replaced. Raises ValueError unless all vectors have the same length d."""

    @abstractmethod
    def window(self, loop: str, embedder: str, since: float, until: float, limit: int, seed: int = 0) -> list[QueryVector]:
        """A random sample, without replacement, of at most `limit` points with since <= at < until; ordered by time."""

    @abstractmethod
    def find(self, loop: str, embedder: str, request_ids: Sequence[str]) -> list[QueryVector]:
        """The points of these requests, ordered by time; a request that was not embedded has none."""

    @abstractmethod
    def count(self, loop: str, embedder: str, since: float = 0.0, until: float = float("inf")) -> int:
        """Points with since <= at < until."""

    @abstractmethod
    def remove(self, loop: str, request_ids: Sequence[str]) -> None:
        """Forget these requests' points of every embedder; unknown ids are ignored."""

    @abstractmethod
    def expire(self, loop: str, embedder: str, before: float) -> None:
        """Delete an embedder's points with at < before (epoch seconds)."""

    @abstractmethod
    def share(self, loop: str, embedder: str) -> float:
        """Share of requests, 0 to 1, that have points; see `thin`."""

    @abstractmethod
    def thin(self, loop: str, embedder: str, share: float) -> None:
        """Keep the points that a sample of this share has (`domain.drift.vector_sample`), and remember the share for as long as the
        collection exists. Whoever adds points draws them with it."""

    @abstractmethod
    def embedders(self, loop: str) -> list[str]:
        """Ids of the embedders whose vectors the loop has, sorted."""

    @abstractmethod
    def drop(self, loop: str, embedder: str) -> None:
        """Delete all points of one embedder; without any, nothing happens."""
