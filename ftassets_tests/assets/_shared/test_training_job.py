"""Which rows a training is given, and what it continues from."""

from pathlib import Path

import pytest

from ftassets.assets._shared.dataset_files import dataset_objects
from ftassets.assets._shared.training_job import prepare
from ftassets.backends.artifacts.version_folder import VersionDamaged
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetError
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import loop_config, make_version

LOOP = loop_config("support")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def dataset(home: Home, ids: range) -> str:
    rows = [Example(id=f"row-{n}", messages=question(f"question {n}"), completion='{"intent": "A"}') for n in ids]
    store, wanted = GitDatasetStore(home.datasets), {"train": rows, "validation": [], "test": []}
    name = f"d{len(ids)}"
    return store.publish(name, dataset_objects(store, "support", wanted, [], {}, {}, name), name, {}).commit


def prepared(home: Home, commit: str, before: VersionManifest | None):
    return prepare(artifacts(home), GitDatasetStore(home.datasets), LOOP, commit, before, home.work / "job", home, home.versions)


def ids(path: Path) -> set[str]:
    return {Example.model_validate_json(line).id for line in path.read_text().splitlines()}


def test_without_production_all_rows_are_trained_from_the_base(home: Home) -> None:
    commit = dataset(home, range(6))
    made = prepared(home, commit, None)
    assert (made.rows, made.new, made.job.start_from, made.job.parent) == (6, 6, None, None)
    assert ids(made.job.train_file) == ids(made.job.cold_file) == {f"row-{n}" for n in range(6)}
    assert (made.job.dataset_commit, made.job.points_file.parent) == (commit, home.work / "job")


def test_a_training_continues_production_with_new_rows_and_as_many_known_ones(home: Home) -> None:
    before = load_manifest(artifacts(home), make_version(home, "a", loop="support", dataset_commit=dataset(home, range(6))))
    made = prepared(home, dataset(home, range(8)), before)
    assert (made.rows, made.new, made.job.parent) == (8, 2, before.digest)
    assert made.job.start_from == home.versions / before.digest / "adapter"
    assert len(ids(made.job.train_file)) == 4
    assert {"row-6", "row-7"} < ids(made.job.train_file)
    assert len(ids(made.job.cold_file)) == 8


def test_a_dataset_or_version_that_is_gone_is_an_error(home: Home) -> None:
    commit = dataset(home, range(6))
    with pytest.raises(DatasetError):
        prepared(home, "0" * 40, None)
    before = load_manifest(artifacts(home), make_version(home, "a", loop="support", dataset_commit=commit))
    gone = before.model_copy(update={"files": {**before.files, "adapter/more": "0" * 64}})
    with pytest.raises(VersionDamaged, match="is gone"):
        prepared(home, commit, gone)
