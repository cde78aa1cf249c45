"""The estimate of a training's time."""

from dataclasses import replace

import pytest

from ftassets.domain.training.time_need import REACHED, reading_seconds, training_seconds
from ftassets_tests.domain.training.test_memory_need import SMOL


@pytest.mark.parametrize(
    ("method", "checkpoints", "operations"), [("full", False, 6), ("lora", False, 4), ("lora", True, 6), ("full", True, 8)]
)
def test_operations_are_those_of_kaplan(method: str, checkpoints: bool, operations: int) -> None:
    bare = replace(SMOL, layers=0, trained=0, vocabulary=0)
    found = training_seconds(bare, method, 1000, 100, 64, speed=1e9, checkpoints=checkpoints)
    assert found == pytest.approx(operations * bare.parameters * 1000 / 1e9 / REACHED)


def test_only_taught_tokens_reach_the_output_layer() -> None:
    few, many = (training_seconds(SMOL, "lora", 1000, answers, 64, 1e9, False) for answers in (100, 200))
    assert many - few == pytest.approx(100 * 4 * 49_152 * 576 / 1e9 / REACHED)


def test_reading_takes_half_of_what_lora_takes() -> None:
    bare = replace(SMOL, layers=0, trained=0)
    assert 2 * reading_seconds(bare, 1000, 100, 64, 1e9) == pytest.approx(training_seconds(bare, "lora", 1000, 100, 64, 1e9, False))
