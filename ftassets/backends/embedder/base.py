"""Text to vectors."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np


class Embedder(ABC):
    """One embedding model."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Model and checksum; vectors of different ids are never compared."""

    @abstractmethod
    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape (len(texts), d), float32."""
