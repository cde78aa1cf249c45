"""Vectors of the rows that are never trained on: embedded once for each state of these rows and embedder, not for each dataset."""

import zipfile
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from ftassets.assets._shared.dataset_files import pack_arrays, unpack_arrays
from ftassets.backends.artifacts.base import ArtifactConflict, ArtifactMissing, Artifacts
from ftassets.backends.embedder.base import Embedder
from ftassets.domain.canonical import digest_of


def golden_vectors(artifacts: Artifacts, embedder: Embedder, space: str, rows: Sequence[tuple[str, str]]) -> np.ndarray:
    """Unit vectors (m, d) of the rows, each an id with its text, in their order; zeros for a text that the embedder cannot read.

    Stored under the digest of texts and `space`, so that another golden set or embedder has a file of its own. A damaged file
    is not used: the rows are embedded each time until somebody removes it.

    Raises EmbedderError with the ids of rows that the embedder does not take, OSError when the artifacts cannot be read or written.
    """
    texts = [text for _, text in rows]
    read = embedder.reads(texts)[:, None]
    key = f"golden_vectors/{digest_of({'embedder': space, 'prompts': texts})}.npz"
    with suppress(ArtifactMissing, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # zip files hold a checksum of each array
        known = unpack_arrays(artifacts.get(key))["vectors"]
        if known.ndim == 2 and len(known) == len(texts):
            return known * read
    vectors = embedder.embed_all(rows, "the golden set or a further set")
    with suppress(ArtifactConflict):  # a damaged file, or that of a run which was faster
        artifacts.put(key, pack_arrays(vectors=vectors))
    return vectors * read
