"""The contract of a vector store, on every one we have."""

import os
import uuid
from functools import cache

import pytest

from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore, QdrantVectorStore
from ftassets.testing.contracts.vector_store import MakeStore, VectorStoreContract

RUN = uuid.uuid4().hex


class TestQdrantFolder(VectorStoreContract):
    @pytest.fixture
    def make(self) -> MakeStore:
        return lambda folder: QdrantVectorStore(folder / "vectors")


class TestQdrantServerInMemory(VectorStoreContract):
    """The code for a server, over the client's own engine."""

    @pytest.fixture
    def make(self) -> MakeStore:
        return cache(lambda folder: QdrantServerVectorStore(":memory:"))


class TestQdrantServer(VectorStoreContract):
    __test__ = "QDRANT_TEST_URL" in os.environ

    @pytest.fixture
    def make(self) -> MakeStore:
        url, key = os.environ["QDRANT_TEST_URL"], os.environ.get("QDRANT_TEST_API_KEY")
        return lambda folder: QdrantServerVectorStore(url, key, f"test-{RUN}-{folder.name}")
