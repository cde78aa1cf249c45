from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.trainer.attempts import train_through
from ftassets.backends.trainer.base import Trainer, TrainingFailed, TrainingKilled, TrainingTerminated
from ftassets.backends.trainer.checkpoints import complete
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import tiny_job

DONE = TrainingResult(
    digest="a" * 64, base_digest="b" * 64, steps=9, rows=1, train_seconds=1, tokens_per_second=1, trainable_parameters=1,
    first_loss=2, last_loss=1, validation_loss=None, losses=[],
)  # fmt: skip


class Scripted(Trainer):
    """Does one thing an attempt: reaches the step of a number, raises an error, or is done."""

    def __init__(self, *attempts: Sequence[int | Exception]) -> None:
        self.attempts, self.tried = list(attempts), list[tuple[int, int]]()

    def train(self, job: TrainingJob, context: Any) -> TrainingResult:
        self.tried.append((job.train.batch_size, job.train.gradient_accumulation_steps))
        for each in self.attempts.pop(0) if self.attempts else ():
            if isinstance(each, Exception):
                raise each
            folder = job.checkpoints / f"checkpoint-{each}"
            folder.mkdir(parents=True)
            complete(folder, "key", each, {})
        return DONE


@pytest.fixture
def through(tmp_path: Path) -> Callable[[Scripted], TrainingResult]:
    job = tiny_job(tmp_path / "job", tmp_path / "base", batch_size=8)
    return lambda trainer: train_through(trainer, job, FolderArtifacts(job.home), dg.build_op_context())


KILLED, EVICTED = TrainingKilled("killed"), TrainingTerminated("evicted")


def test_a_training_that_gets_further_is_taken_up_however_often_it_is_killed(through):
    trainer = Scripted(*([step, KILLED] for step in range(1, 20)))
    assert through(trainer) == DONE
    assert trainer.tried == [(8, 1)] * 20


def test_one_that_is_killed_before_a_checkpoint_gets_half_the_batch(through):
    trainer = Scripted([KILLED], [KILLED])
    assert through(trainer) == DONE
    assert trainer.tried == [(8, 1), (4, 2), (2, 4)]


def test_progress_gives_new_attempts_but_not_the_larger_batch(through):
    trainer = Scripted([KILLED], [5, KILLED], [KILLED], [KILLED])
    assert through(trainer) == DONE
    assert trainer.tried == [(8, 1), (4, 2), (4, 2), (2, 4), (1, 8)]


def test_it_is_given_up_after_three_attempts_that_came_to_nothing(through):
    trainer = Scripted([KILLED], [KILLED], [KILLED])
    with pytest.raises(TrainingKilled, match="killed"):
        through(trainer)
    assert trainer.tried == [(8, 1), (4, 2), (2, 4)]


def test_a_machine_that_is_taken_away_says_nothing_about_memory(through):
    trainer = Scripted([EVICTED], [EVICTED])
    assert through(trainer) == DONE
    assert trainer.tried == [(8, 1)] * 3


def test_a_failure_of_its_own_is_final(through):
    trainer = Scripted([TrainingFailed("the loss rose")])
    with pytest.raises(TrainingFailed, match="the loss rose"):
        through(trainer)
    assert len(trainer.tried) == 1
