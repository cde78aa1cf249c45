"""Simulated requests: each of a topic, with a text and a vector near that of the topic."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ftassets.backends.embedder.base import Embedder
from ftassets.backends.vector_store.base import QueryVector, VectorStore

DIMENSIONS = 32
SPREAD = 0.15  # standard deviation of a request's vector around its topic's, in each dimension


def text(topic: str, name: str) -> str:
    """What a user asks; `name` makes it another request than the others of its topic."""
    return f"{topic} number {name}, please"


def answer(topic: str) -> str:
    """The right answer to a request of a topic."""
    return f'{{"intent": "{topic}"}}'


class TopicEmbedder(Embedder):
    """Vectors of `text`: near that of its first word, as far as the rest of the text says."""

    @property
    def id(self) -> str:
        return "simulated-topics"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        centres = {word: _direction(word) for word in {each.split(" ", 1)[0] for each in texts}}
        return np.stack([centres[each.split(" ", 1)[0]] + SPREAD * _noise(each) for each in texts])


def _noise(content: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.blake2b(content.encode(errors="replace"), digest_size=8).digest(), "big")
    return np.random.default_rng(seed).normal(size=DIMENSIONS)


def _direction(content: str) -> np.ndarray:
    found = _noise(content)
    return found / np.linalg.norm(found)


@dataclass
class RecentVectors(VectorStore):
    """Vectors of one loop and embedder in memory, those of the newest days."""

    points: list[QueryVector] = field(default_factory=list)  # ordered by time
    embedder: str = ""

    def add(self, loop: str, embedder: str, points: Sequence[QueryVector]) -> None:
        self.embedder = embedder
        self.points += points

    def window(self, loop: str, embedder: str, since: float, until: float, limit: int, seed: int = 0) -> list[QueryVector]:
        found = [point for point in self.points if since <= point.at < until]
        if len(found) <= limit:
            return found
        return [found[place] for place in sorted(np.random.default_rng(seed).choice(len(found), limit, replace=False))]

    def find(self, loop: str, embedder: str, request_ids: Sequence[str]) -> list[QueryVector]:
        wanted = set(request_ids)
        return [point for point in self.points if point.request_id in wanted]

    def count(self, loop: str, embedder: str, since: float = 0.0, until: float = float("inf")) -> int:
        return sum(since <= point.at < until for point in self.points)

    def watermark(self, loop: str, embedder: str) -> float:
        return self.points[-1].at if self.points else 0.0

    def remove(self, loop: str, request_ids: Sequence[str]) -> None:
        gone = set(request_ids)
        self.points = [point for point in self.points if point.request_id not in gone]

    def expire(self, loop: str, embedder: str, before: float) -> None:
        self.points = [point for point in self.points if point.at >= before]

    def share(self, loop: str, embedder: str) -> float:
        return 1.0

    def thin(self, loop: str, embedder: str, share: float) -> None:
        raise NotImplementedError("days of a simulation are few enough")

    def embedders(self, loop: str) -> list[str]:
        return [self.embedder] if self.points else []

    def drop(self, loop: str, embedder: str) -> None:
        self.points = []
