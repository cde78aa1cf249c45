"""The contract of a dataset store, on every one we have."""

import os

import pytest

from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.testing.contracts.dataset_store import DatasetStoreContract, MakeStore
from ftassets.testing.doubles.lakefs import on_double, on_live_server


class TestGit(DatasetStoreContract):
    @pytest.fixture
    def make(self) -> MakeStore:
        return lambda folder: GitDatasetStore(folder / "datasets.git")


class TestLakeFsDouble(DatasetStoreContract):
    has_folders = False

    @pytest.fixture
    def make(self) -> MakeStore:
        return on_double


class TestLakeFsServer(DatasetStoreContract):
    __test__ = "LAKEFS_TEST_ENDPOINT" in os.environ
    has_folders = False

    @pytest.fixture
    def make(self) -> MakeStore:
        return on_live_server
