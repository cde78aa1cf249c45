"""What a training needs is told and compared with the machine before it starts."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.libraries import libraries_objection
from ftassets.domain.training.method import METHODS
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training import need
from ftassets.workers.training.sft import train

pytestmark = [pytest.mark.slow, pytest.mark.models]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_cannot_fit_is_refused_before_it_loads_a_model(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from transformers import PreTrainedModel

    train(tiny_job(tmp_path / "converts", tiny_base, epochs=0.5), lambda _: None)
    monkeypatch.setattr(need, "memory", lambda: 0.5e9)
    monkeypatch.setattr(PreTrainedModel, "from_pretrained", lambda *_, **__: pytest.fail("a model was loaded"))
    with pytest.raises(TrainingStopped, match=f"training by {method} needs about 0.8 GB .* has 0.5 GB: lower train.max_length"):
        train(tiny_job(tmp_path / "first", tiny_base, method=method), lambda _: None)


def test_a_batch_that_does_not_fit_is_halved_and_its_steps_are_the_same(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"lora_dropout": 0}
    whole = train(tiny_job(tmp_path / "whole", tiny_base, **settings), lambda _: None)
    monkeypatch.setattr(need, "training_bytes", lambda of, method, rows, *_, **__: rows * 1e9)
    monkeypatch.setattr(need, "memory", lambda: 4.5e9)
    said: list[str] = []
    again = train(tiny_job(tmp_path / "halved", tiny_base, **settings), said.append)
    assert any("training with 4 in 2 passes a step" in line for line in said)
    assert [loss for _, loss in again.losses] == pytest.approx([loss for _, loss in whole.losses], rel=1e-2)


def test_a_training_that_takes_too_long_is_refused_with_its_estimate(
    tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(need, "speed", lambda bf16: 1e6)
    with pytest.raises(TrainingStopped, match=r"would take about .*, train.max_time is 30 s"):
        train(tiny_job(tmp_path / "first", tiny_base, max_time="30s"), lambda _: None)


def test_a_disk_with_too_little_room_is_told_before_the_start(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(10**6, 10**6, 1000))
    with pytest.raises(TrainingStopped, match="checkpoints and the new version need about"):
        train(tiny_job(tmp_path / "first", tiny_base), lambda _: None)


def test_this_environment_s_libraries_work_together() -> None:
    found = need.libraries()
    assert libraries_objection(found, "qlora") is None, found
    assert found.bitsandbytes is not None


def test_the_speed_of_this_machine_is_plausible() -> None:
    assert 1e8 < need.speed(False) < 1e15
