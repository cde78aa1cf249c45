from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.trainer.base import Trainer
from ftassets.backends.trainer.by_loop import TrainerByLoop
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.domain.training.smaller_batch import smaller_batch
from ftassets.testing.tiny_job import tiny_job

RAY = {"address": "ray://head:10001", "workers": 4}


class Named(Trainer):
    def __init__(self, name: str, asked: list[str]) -> None:
        self._name, self._asked = name, asked

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        self._asked.append(self._name)
        nothing: Any = None
        return nothing

    def check(self) -> str:
        return self._name


def test_a_loop_that_names_a_cluster_is_trained_there(tmp_path: Path) -> None:
    asked: list[str] = []
    trainer = TrainerByLoop(Named("here", asked), Named("ray", asked))
    for changes in ({}, {"ray": RAY}, {"ray": RAY, "command": ["train.sh"]}):
        trainer.train(tiny_job(tmp_path / "job", tmp_path / "base", **changes), None)
    assert asked == ["here", "ray", "here"]
    assert trainer.check() == "here"


def test_a_batch_is_a_whole_number_of_rows_for_each_worker(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size 6 cannot be shared evenly by 4 workers"):
        tiny_job(tmp_path / "job", tmp_path / "base", ray=RAY, batch_size=6)
    train = tiny_job(tmp_path / "job", tmp_path / "base", ray=RAY, batch_size=8).train
    smaller = smaller_batch(train)
    assert smaller is not None
    assert (smaller.batch_size, smaller.gradient_accumulation_steps) == (4, 2)
    assert smaller_batch(smaller) is None
