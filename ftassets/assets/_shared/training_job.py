"""What a training is given: rows of a dataset, and the version that it continues from."""

from dataclasses import dataclass
from pathlib import Path

from ftassets.assets._shared.dataset_files import read_index, read_splits
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.versions import version_folder
from ftassets.backends.dataset_store.base import DatasetStore
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Quarantined, to_jsonl
from ftassets.domain.release.version import VersionManifest
from ftassets.domain.training.job import TrainingJob
from ftassets.domain.training.method import continued_folder
from ftassets.domain.training.rows import training_rows


@dataclass(frozen=True)
class Prepared:
    """A job whose files are written: rows of its dataset, those that the version before was not trained on, those left out."""

    job: TrainingJob
    rows: int
    new: int
    unreadable: list[Quarantined]


def prepare(
    artifacts: Artifacts,
    store: DatasetStore,
    loop: LoopConfig,
    commit: str,
    before: VersionManifest | None,
    work: Path,
    home: Home,
    versions: Path,
) -> Prepared:
    """Write the rows of a training of the loop below `work`, which is new. `before` is the version that it continues from if it can.

    `home` is where its checkpoints go. Raises DatasetError if a dataset is not there any more, VersionDamaged if the version is not.
    """
    unreadable: list[Quarantined] = []
    splits = read_splits(store, commit, loop.name, unreadable)
    known: set[str] = set()
    if before and before.dataset_commit:
        known = {row.id for row in read_splits(store, before.dataset_commit, loop.name, bad=[])["train"]}
    folder, not_continued = continued_folder(loop.train.method, before)
    start_from = version_folder(artifacts, before.digest) / folder if before and folder else None
    index = read_index(store, commit, loop.name)
    rows, cold = (
        training_rows(splits["train"], seen, loop.train.replay, loop.train.seed, index.balance, loop.task.form)
        for seen in (known if start_from else set(), set())
    )
    work.mkdir(parents=True)
    files = {"train": rows, "cold": cold, "validation": splits["validation"]}
    for name, written in files.items():
        (work / f"{name}.jsonl").write_text(to_jsonl(written))
    job = TrainingJob(
        loop=loop.name,
        base_model=loop.base_model,
        task=loop.task,
        train=loop.train,
        dataset_commit=commit,
        dataset_hash=index.content_hash,
        train_file=work / "train.jsonl",
        cold_file=work / "cold.jsonl",
        validation_file=work / "validation.jsonl",
        start_from=start_from,
        not_continued=not_continued,
        work=work,
        home=home.root,
        checkpoints=home.checkpoints / loop.name,
        versions=versions,
    )
    return Prepared(job, len(cold), sum(row.id not in known for row in cold), unreadable)
