"""Which preferences a training is given, and how it names them."""

import hashlib
from pathlib import Path

import pytest

from ftassets.assets._shared.alignment_job import newest_preferences, prepare_alignment, read_preferences
from ftassets.assets._shared.dataset_files import pairs_path, pairs_to_parquet, rated_path, rated_to_parquet
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.dataset_store.base import DatasetError
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.config.home import Home
from ftassets.config.loop import Align
from ftassets.config.profiles import artifacts
from ftassets.domain.dataset.preference_split import PreferenceSplit
from ftassets.domain.dataset.preferences import Pair
from ftassets.testing.releases import loop_config, make_version
from ftassets.testing.tiny_job import made_up_pairs, rated_apart

LOOP = loop_config("support")
DPO, KTO = Align(method="dpo", epochs=2, held_out=0.4), Align(method="kto")


def test_each_method_reads_its_own_preferences(store: GitDatasetStore) -> None:
    pairs = made_up_pairs(("dim",))
    assert newest_preferences(store, LOOP.name, DPO) is None
    first = store.publish("one", {pairs_path(LOOP.name): pairs_to_parquet(pairs)}, "pairs", {}).commit
    assert newest_preferences(store, LOOP.name, DPO) == first
    assert newest_preferences(store, LOOP.name, KTO) is None
    second = store.publish("two", {rated_path(LOOP.name): rated_to_parquet(rated_apart(pairs))}, "ratings", {}).commit
    assert newest_preferences(store, LOOP.name, DPO) == first, "the commit that changed them"
    assert read_preferences(store, LOOP.name, DPO, first) == pairs
    assert read_preferences(store, LOOP.name, KTO, second) == rated_apart(pairs)
    with pytest.raises(DatasetError):
        read_preferences(store, LOOP.name, KTO, first)


def test_a_job_names_the_rows_that_it_trains_on(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    tuned = load_manifest(artifacts(home), make_version(home, "a", loop=LOOP.name, dataset_commit="d" * 40))
    pairs = made_up_pairs(("dim", "open"))
    jobs = [
        prepare_alignment(
            artifacts(home),
            LOOP,
            DPO,
            tuned,
            "e" * 40,
            PreferenceSplit(pairs[:cut], pairs[cut:], {}),
            home.work / str(cut),
            home,
            home.versions,
        )
        for cut in (5, 6)
    ]
    for job, cut in zip(jobs, (5, 6), strict=True):
        trained, held_out = job.train_file.read_text(), job.validation_file.read_text()
        assert [Pair.model_validate_json(line) for line in (trained + held_out).splitlines()] == pairs
        assert len(trained.splitlines()) == cut
        assert (job.parent, job.dataset_commit, job.train.epochs) == (tuned.digest, "d" * 40, 2)
        assert job.alignment == {
            "method": "dpo", "beta": 0.1, "held_out": 0.4, "preferences_commit": "e" * 40,
            "preferences_hash": hashlib.sha256(trained.encode()).hexdigest(),
        }  # fmt: skip
    assert jobs[0].alignment != jobs[1].alignment
