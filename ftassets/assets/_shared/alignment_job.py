"""What a training on preferences is given: preferences of a commit, split by the rows of the version that it starts from."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.assets._shared.dataset_files import pairs_from_parquet, pairs_path, rated_from_parquet, rated_path
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.config.home import Home
from ftassets.config.loop import Align, LoopConfig
from ftassets.domain.dataset.preference_rules import Preference
from ftassets.domain.dataset.preference_split import PreferenceSplit
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.release.version import ADAPTER, VersionManifest
from ftassets.domain.training.aligned_train import aligned_train
from ftassets.domain.training.job import TrainingJob


def newest_preferences(store: DatasetStore, loop: str, align: Align) -> str | None:
    """The commit of the preferences on main that the method trains on; None before the first one."""
    try:
        return store.last_change("main", _path(loop, align))
    except ObjectNotFound:
        return None


def read_preferences(store: DatasetStore, loop: str, align: Align, commit: str) -> Sequence[Preference]:
    """The preferences of a commit. Raises DatasetError if they are not there any more."""
    content = store.read(commit, _path(loop, align))
    return pairs_from_parquet(content) if align.method == "dpo" else rated_from_parquet(content)


def prepare_alignment(
    artifacts: Artifacts,
    loop: LoopConfig,
    align: Align,
    tuned: VersionManifest,
    commit: str,
    split: PreferenceSplit[Any],
    work: Path,
    home: Home,
    versions: Path,
) -> TrainingJob:
    """Write the rows below `work`, which is new. `artifacts` has the fine-tuned version, `home` is where checkpoints go."""
    assert tuned.dataset_commit is not None  # an accepted adapter names its dataset
    work.mkdir(parents=True)
    trained = to_jsonl(split.train)
    (work / "train.jsonl").write_text(trained)
    (work / "validation.jsonl").write_text(to_jsonl(split.held_out))
    return TrainingJob(
        loop=loop.name,
        base_model=loop.base_model,
        task=loop.task,
        train=aligned_train(loop.train, align),
        align=align,
        preferences_commit=commit,
        preferences_hash=hashlib.sha256(trained.encode()).hexdigest(),
        dataset_commit=tuned.dataset_commit,
        dataset_hash=tuned.dataset_hash,
        train_file=work / "train.jsonl",
        validation_file=work / "validation.jsonl",
        start_from=version_folder(artifacts, tuned.digest) / ADAPTER,
        work=work,
        checkpoints=home.checkpoints / loop.name,
        home=home.root,
        versions=versions,
    )


def _path(loop: str, align: Align) -> str:
    return pairs_path(loop) if align.method == "dpo" else rated_path(loop)
