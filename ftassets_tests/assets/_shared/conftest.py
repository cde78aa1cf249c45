from pathlib import Path

import pytest

from ftassets.backends.dataset_store.git import GitDatasetStore


@pytest.fixture
def store(tmp_path: Path) -> GitDatasetStore:
    return GitDatasetStore(tmp_path / "datasets.git")
