import json
import os
import resource
import shutil
import signal
import sys
import time
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.process import TERMINATED, Terminated, last_words, write_job
from ftassets.workers.training.__main__ import main
from ftassets.workers.training.sft import train
from ftassets_tests.workers.started import log_of, start

pytestmark = [pytest.mark.slow, pytest.mark.models]

HARD = {"lora_dropout": 0.3, "save_steps": 1}  # another state of the random numbers would give other weights


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


def end_after(job: TrainingJob, step: int) -> None:
    """Train and ask for the end after that step."""
    asked: list[None] = []

    def stop_asked() -> bool:
        asked.append(None)
        return len(asked) >= step

    with pytest.raises(Terminated, match=f"after step {step}:"):
        train(job, lambda _: None, stop_asked=stop_asked)


def same(one: TrainingResult, other: TrainingResult) -> bool:
    return (one.digest, one.losses, one.validation_losses) == (other.digest, other.losses, other.validation_losses)


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_training_that_ends_at_any_step_and_goes_on_is_the_one_that_never_ended(tmp_path, tiny_base, accumulation):
    changes = {"epochs": 2, "batch_size": 4, "gradient_accumulation_steps": accumulation, **HARD}
    whole = train(tiny_job(tmp_path / "whole", tiny_base, **changes), lambda _: None)
    assert whole.resumed_at == []
    for step in range(1, whole.steps):  # in the middle of an epoch and at its end
        job = tiny_job(tmp_path / f"stopped-{step}", tiny_base, **changes)
        end_after(job, step)
        again = train(job, lambda _: None)
        assert same(again, whole), step
        assert again.resumed_at == [step]


def worker(job: TrainingJob, cores: int) -> BaseProcess:
    return start(main, write_job(job, job.work / "job.json"), before=partial(os.sched_setaffinity, 0, range(cores)))


def ended(job: TrainingJob, process: BaseProcess) -> tuple[int | None, str]:
    """The exit code, and the last of what the worker wrote."""
    process.join(120)
    return process.exitcode, log_of(job.work / "job.json").read_text()[-2000:]


def result(job: TrainingJob, process: BaseProcess) -> dict:
    code, said = ended(job, process)
    assert code == 0, said
    [version] = [path for path in job.versions.glob("*/manifest.json") if json.loads(path.read_bytes())["kind"] == "adapter"]
    return json.loads(version.read_bytes())


def wait_for_checkpoint(job: TrainingJob, process: BaseProcess, step: int) -> None:
    deadline = time.monotonic() + 60
    while not any(int(path.parent.name.split("-")[1]) >= step for path in job.checkpoints.glob("checkpoint-*/complete.json")):
        assert process.is_alive(), log_of(job.work / "job.json").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("cores", [1, 2])
def test_a_killed_worker_goes_on_where_its_checkpoint_is(tmp_path, tiny_base, cores):
    changes = {"epochs": 8, **HARD}
    whole = tiny_job(tmp_path / "whole" / "job", tiny_base, **changes)
    expected = result(whole, worker(whole, cores))
    job = tiny_job(tmp_path / "killed" / "job", tiny_base, **changes)
    for number, step in ((signal.SIGKILL, 3), (signal.SIGTERM, 9)):
        process = worker(job, cores)
        wait_for_checkpoint(job, process, step)
        assert process.pid
        os.kill(process.pid, number)
        assert ended(job, process)[0] == (TERMINATED if number == signal.SIGTERM else -signal.SIGKILL)
    assert "asked to end after step" in (last_words(job.work / "job.json") or "")
    shutil.rmtree(job.checkpoints)  # as on another machine
    assert result(job, worker(job, cores))["files"] == expected["files"]


def test_a_checkpoint_of_other_rows_or_settings_is_not_used(tmp_path, tiny_base):
    job = tiny_job(tmp_path / "first", tiny_base, **HARD)
    for other in (
        job.model_copy(update={"train": job.train.model_copy(update={"learning_rate": 0.005})}),
        job.model_copy(update={"train_file": tiny_job(tmp_path / "other", tiny_base, verbs=("dim", "shut")).train_file}),
    ):
        end_after(job, 2)
        assert train(other, lambda _: None).resumed_at == []
        assert not list(job.checkpoints.glob("checkpoint-2"))


def test_half_the_batch_goes_on_from_the_checkpoint_of_the_whole_one(tmp_path, tiny_base):
    job = tiny_job(tmp_path / "first", tiny_base, lora_dropout=0, save_steps=1)
    whole = train(tiny_job(tmp_path / "whole", tiny_base, lora_dropout=0), lambda _: None)
    end_after(job, 2)
    smaller = job.train.model_copy(update={"batch_size": 4, "gradient_accumulation_steps": 2})
    again = train(job.model_copy(update={"train": smaller}), lambda _: None)
    assert again.resumed_at == [2]
    assert [loss for _, loss in again.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-2)


def test_early_stopping_keeps_the_weights_of_the_lowest_validation_loss(tmp_path, tiny_base):
    changes = {"epochs": 12, "learning_rate": 3e-2, "eval_steps": 1, "early_stopping_patience": 3, **HARD}
    job = tiny_job(tmp_path / "first", tiny_base, **changes)
    stopped = train(job, lambda _: None)
    losses = [loss for _, loss in stopped.validation_losses]
    assert len(losses) < 24
    assert stopped.validation_loss == min(losses) == losses[-4]
    short = train(tiny_job(tmp_path / "short", tiny_base, **{**changes, "early_stopping_patience": None}), lambda _: None)
    assert short.validation_losses[: len(losses)] == stopped.validation_losses
    job = tiny_job(tmp_path / "killed", tiny_base, **changes)
    end_after(job, len(losses) - 2)  # after the best
    assert same(train(job, lambda _: None), stopped)


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
def test_a_disk_that_fills_up_is_told_and_the_training_resumes_once_there_is_room(tmp_path, tiny_base):
    job = tiny_job(tmp_path / "job", tiny_base, **HARD)
    train(tiny_job(tmp_path / "converts", tiny_base, epochs=0.5), lambda _: None)
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (60_000, -1))
    code, said = ended(job, start(main, write_job(job, job.work / "job.json"), before=full))
    assert code == 2, said
    assert "the disk is full" in (last_words(job.work / "job.json") or "")
    assert train(job, lambda _: None).steps == 4
