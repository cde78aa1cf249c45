"""Text to vectors."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from ftassets.config.loop import EmbedderSettings
from ftassets.errors import FtassetsError

EMPTY = "(empty)"  # stands for a text without words, which some models give no vector and some endpoints refuse


class EmbedderError(FtassetsError):
    """The embedder cannot be loaded or reached, or its vectors cannot be compared; the message says what to do."""


class Embedder(ABC):
    """One embedding model. Of a text that is longer than the model takes, the end counts: that of a conversation asks."""

    @property
    @abstractmethod
    def id(self) -> str:
        """Names the vector space: the model and a digest of all that its vectors depend on. Vectors of different ids are never compared.

        Nothing is loaded or asked for it. Raises EmbedderError when the model is not there.
        """

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of any length, shape (len(texts), d), of texts that are not blank. Raises EmbedderError."""

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape (len(texts), d), float32. Raises EmbedderError, also for a vector that is zero or not finite."""
        if not texts:
            return self.embed([EMPTY])[:0]
        # half of a surrogate pair is in no tokenizer's alphabet
        clean = [text.encode("utf-8", "replace").decode() if text.strip() else EMPTY for text in texts]
        vectors = np.asarray(self.encode(clean), dtype=np.float32)
        if vectors.ndim != 2 or len(vectors) != len(texts):
            raise EmbedderError(f"the embedder {self.id} gave vectors of shape {vectors.shape} for {len(texts)} texts: use another one")
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        if bad := int(np.sum(~np.isfinite(norms) | (norms < 1e-12))):
            raise EmbedderError(
                f"the embedder {self.id} gave {bad} of {len(texts)} texts a vector that is zero or not finite: "
                "nothing can be compared with it. Check the model's files or its server, or use another embedder"
            )
        return (vectors / norms).astype(np.float32)

    def reads(self, texts: Sequence[str]) -> np.ndarray:
        """Which texts (n,) the model has words for: all of them, as far as is known. The vector of any other text says nothing about it."""
        return np.ones(len(texts), dtype=bool)

    def embed_all(self, rows: Sequence[tuple[str, str]], of: str) -> np.ndarray:
        """The vectors of the rows of a set, each an id with its text, of which none may be left out.

        Raises EmbedderError, with the ids of the rows that the embedder does not take, and `of`, where they are to be changed.
        """
        vectors, failed = self.embed_each([text for _, text in rows])
        if failed:
            names = [rows[place][0] for place in sorted(failed)]
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise EmbedderError(
                f"the embedder does not take row {', '.join(names[:3])}{more} of {of}, so training rows could not be compared with it: "
                f"change or remove it there, or use another embedder. {failed[min(failed)]}"
            )
        return vectors

    def embed_each(self, texts: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
        """The same, and the texts (by place) that the embedder cannot embed, with the reason: their vectors are zero.

        Found by halves, while the embedder still embeds a word. Raises EmbedderError if it does not.
        """
        try:
            return self.embed(texts), {}
        except EmbedderError as error:
            word = self.embed([EMPTY])
            if len(texts) == 1:
                return np.zeros_like(word), {0: str(error)}
            half = len(texts) // 2
            (left, failed), (right, others) = self.embed_each(texts[:half]), self.embed_each(texts[half:])
            if left.shape[1] != right.shape[1]:
                raise
            return np.concatenate([left, right]), {**failed, **{half + place: reason for place, reason in others.items()}}


# the resource `embedder_of`: the embedder of a loop's settings
EmbedderOf = Callable[[EmbedderSettings], Embedder]
