"""A training of the demo's loop, as the benchmarks start it: no script of its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.config.loop import LoopConfig, Train
from ftassets.config.loop_files import LOOPS, read_loops
from ftassets.domain.dataset.rows import to_jsonl
from ftassets.domain.training.job import TrainingJob

LOOP = "voice_commands"


def demo_loop() -> LoopConfig:
    """The loop of the demo."""
    return read_loops(LOOPS)[LOOP]


def demo_train(**changes: Any) -> Train:
    """The demo's training settings with some of them changed."""
    return Train.model_validate(demo_loop().train.model_dump(exclude_unset=True) | changes)


def demo_job(folder: Path, versions: Path, train: Train, rows: Sequence[Any], validation: Sequence[Any]) -> TrainingJob:
    """A training of the demo's base on rows, or preferences, below a folder of its own. It resumes no other training."""
    loop = demo_loop()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.jsonl").write_text(to_jsonl(rows))
    (folder / "validation.jsonl").write_text(to_jsonl(validation))
    return TrainingJob(
        loop=LOOP,
        base_model=loop.base_model,
        task=loop.task,
        train=train,
        dataset_commit="0" * 40,
        train_file=folder / "train.jsonl",
        validation_file=folder / "validation.jsonl",
        home=folder / "home",
        checkpoints=folder / f"checkpoints-{os.getpid()}",
        work=folder / "work",
        versions=versions,
    )
