"""Whether the embedder of a loop can be used here, and whether its vectors are complete."""

import os
from collections.abc import Sequence

from ftassets.backends.embedder.base import Embedder
from ftassets.backends.vector_store.base import VectorStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import backend, embedder
from ftassets.config.row_files import RowsUnreadable, read_rows
from ftassets.domain.chat import embedded_text, newest_generation, vector_space
from ftassets.domain.drift.vector_sample import in_words
from ftassets.errors import ConfigurationError, FtassetsError


def vectors_of(home: Home) -> VectorStore | None:
    """The vector store, None if the environment does not say where it is; doctor has a finding of its own about that."""
    try:
        return backend(home, "vector_store")
    except ConfigurationError:
        return None


def notes(loop: LoopConfig, store: VectorStore | None) -> list[str]:
    """Sentences about a key that is missing, vectors that are being made again or are those of a sample; nothing is loaded for them."""
    found = []
    name = loop.embedder.api_key_env
    if name and not os.environ.get(name, "").strip():
        found.append(f"embedder: the environment variable {name}, which holds its key, is not set here: no query can be embedded")
    try:
        there = store.embedders(loop.name) if store else []
    except FtassetsError as error:
        return [*found, str(error)]
    if len(there) > 1:
        return [*found, _in_progress(loop.name, there)]
    if store and there and (share := store.share(loop.name, there[0])) < 1:
        most = f"at most {loop.traffic.vectors:,} are kept (traffic.vectors); a Qdrant server keeps all"
        found.append(f"vectors: {in_words(share)}; {most}")
    return found


def tried(loop: LoopConfig, store: VectorStore | None) -> str:
    """What the embedder is, after it has embedded a word, which golden requests it cannot read, and whether vectors are to be made again.

    Raises EmbedderError.
    """
    model: Embedder = embedder(loop.embedder)
    dimensions = model.embed(["check"]).shape[1]
    said = f"{model.id}, {dimensions} dimensions{_unread(model, loop)}"
    try:
        there = store.embedders(loop.name) if store else []
    except FtassetsError:
        return said  # the store has a finding of its own
    if len(there) > 1:
        return f"{said}; {_in_progress(loop.name, there)}"
    if store and there and (share := store.share(loop.name, there[0])) < 1:
        said += f"; {in_words(share)}, at most {loop.traffic.vectors:,} (traffic.vectors)"
    if there and there != [newest_generation(vector_space(model.id, loop.dataset.context), there)]:
        return f"{said}; vectors are by {there[0]}: the job {loop.name}__watch makes them and the drift reference again"
    return said


def _unread(model: Embedder, loop: LoopConfig) -> str:
    try:
        golden = read_rows(loop.golden_set, "golden").rows
    except RowsUnreadable:
        return ""  # the loop has a finding of its own
    unread = int((~model.reads([embedded_text(row, loop.dataset.context) for row in golden])).sum())
    if not unread:
        return ""
    return f"; it has no words for {unread} of {len(golden)} golden requests, and sees no drift in them: choose a model for their language"


def _in_progress(loop: str, there: Sequence[str]) -> str:
    return f"the embedder changed, and vectors are being made again (there are {' and '.join(there)}): the job {loop}__watch continues"
