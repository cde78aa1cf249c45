"""The contract of an embedder, on every one we have."""

import pytest

from ftassets.backends.embedder.minilm import MiniLmEmbedder
from ftassets.testing.contracts.embedder import EmbedderContract, MakeEmbedder
from ftassets.testing.hash_embedder import HashEmbedder


class TestMiniLm(EmbedderContract):
    @pytest.fixture
    def make(self) -> MakeEmbedder:
        return MiniLmEmbedder


class TestHash(EmbedderContract):
    @pytest.fixture
    def make(self) -> MakeEmbedder:
        return HashEmbedder
