"""The estimate of a training's memory."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.training.memory_need import LIBRARIES, Shape, training_bytes, training_disk
from ftassets.domain.training.method import METHODS

SMOL = Shape(parameters=134_515_008, trained=4_884_480, layers=30, hidden=576, heads=9, vocabulary=49_152)
LARGE = Shape(7_000_000_000, 40_000_000, 32, 4096, 32, 32_000)


def test_it_is_within_a_factor_of_two_of_what_was_measured() -> None:
    # SmolLM2-135M, LoRA r=16 in bf16 on two cores, 8 rows of 65 tokens, a few of them taught: 2.207 GB
    assert 1 / 2 < training_bytes(SMOL, "lora", 8, 65, 16, bf16=True, checkpoints=False) / 2.207e9 < 2


def test_weights_of_a_large_model_decide() -> None:
    lora, qlora = (training_bytes(LARGE, method, 1, 512, 64, bf16=True, checkpoints=True) for method in ("lora", "qlora"))
    # the merge holds two copies in bf16 whatever the training held
    assert lora == qlora == LIBRARIES + 4 * LARGE.parameters
    full = training_bytes(replace(LARGE, trained=LARGE.parameters), "full", 1, 512, 64, bf16=True, checkpoints=True)
    assert full > 16 * LARGE.parameters


def test_processes_share_what_is_frozen_and_not_what_is_trained() -> None:
    one, two = (training_bytes(SMOL, "lora", 8, 65, 16, True, False, processes=count) for count in (1, 2))
    assert two - one < 0.35e9
    whole = replace(SMOL, trained=SMOL.parameters)
    one, two = (training_bytes(whole, "full", 8, 65, 16, True, False, processes=count) for count in (1, 2))
    assert two - one > 18 * SMOL.parameters


def test_a_checkpoint_and_its_successor_and_the_version_are_on_the_disk_together() -> None:
    assert training_disk(SMOL, "lora") == 32 * SMOL.trained + 2 * SMOL.parameters
    assert training_disk(SMOL, "prefix") - training_disk(SMOL, "lora") == 2 * 49_152 * 576


@pytest.mark.parametrize("method", METHODS)
@given(st.integers(1, 64), st.integers(16, 4096), st.booleans(), st.booleans(), st.integers(1, 8))
def test_more_rows_tokens_or_weights_never_need_less(
    method: str, rows: int, tokens: int, bf16: bool, checkpoints: bool, count: int
) -> None:
    def needed(of: Shape = SMOL, rows: int = rows, tokens: int = tokens, count: int = count) -> float:
        return training_bytes(of, method, rows, tokens, 16, bf16, checkpoints, count)

    assert needed(rows=rows + 1) >= needed()
    assert needed(tokens=tokens + 1) >= needed()
    assert needed(count=count + 1) >= needed()
    assert needed(replace(SMOL, parameters=2 * SMOL.parameters)) >= needed()
    assert training_bytes(SMOL, method, rows, tokens, 16, bf16, True, count) <= training_bytes(
        SMOL, method, rows, tokens, 16, bf16, False, count
    )
