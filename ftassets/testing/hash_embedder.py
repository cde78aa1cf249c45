"""An embedder for tests that need similarity but no model."""

import hashlib
from collections.abc import Sequence

import numpy as np

from ftassets.backends.embedder.base import Embedder


class HashEmbedder(Embedder):
    """Counts of hashed character trigrams: texts that share words are close, the same text is the same vector."""

    def __init__(self, dimensions: int = 64) -> None:
        self._dimensions = dimensions

    @property
    def id(self) -> str:
        return f"hash-trigrams-{self._dimensions}"

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self._dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            padded = f"  {text.lower()} "
            for start in range(len(padded) - 2):
                hashed = int.from_bytes(hashlib.blake2b(padded[start : start + 3].encode(errors="replace"), digest_size=8).digest(), "big")
                vectors[row, (hashed >> 1) % self._dimensions] += 1.0 if hashed & 1 else -1.0
            if not vectors[row].any():  # signs can cancel out
                vectors[row, 0] = 1.0
        return vectors


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked to embed."""

    def __init__(self, dimensions: int = 64) -> None:
        super().__init__(dimensions)
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return super().encode(texts)
