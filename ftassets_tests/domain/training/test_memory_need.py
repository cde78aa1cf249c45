"""The estimate of a training's memory."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.training.memory_need import LIBRARIES, Shape, training_bytes

SMOL = Shape(parameters=134_515_008, trained=4_884_480, layers=30, hidden=576, heads=9, vocabulary=49_152)


def test_it_is_within_a_factor_of_two_of_what_was_measured() -> None:
    # SmolLM2-135M, LoRA r=16 in bf16 on two cores, 8 rows of 65 tokens, a few of them taught: 2.207 GB
    assert 1 / 2 < training_bytes(SMOL, 8, 65, 16, four_bits=False, bf16=True, checkpoints=False) / 2.207e9 < 2


def test_weights_of_a_large_model_decide() -> None:
    large = Shape(7_000_000_000, 40_000_000, 32, 4096, 32, 32_000)
    full, four_bits = (training_bytes(large, 1, 512, 64, four_bits=each, bf16=True, checkpoints=True) for each in (False, True))
    # the merge holds two copies in bf16 whatever the training held
    assert full == four_bits == LIBRARIES + 4 * large.parameters


@given(st.integers(1, 64), st.integers(16, 4096), st.booleans(), st.booleans(), st.booleans())
def test_more_rows_tokens_or_weights_never_need_less(rows: int, tokens: int, four_bits: bool, bf16: bool, checkpoints: bool) -> None:
    def needed(of: Shape = SMOL, rows: int = rows, tokens: int = tokens) -> float:
        return training_bytes(of, rows, tokens, 16, four_bits, bf16, checkpoints)

    assert needed(rows=rows + 1) >= needed()
    assert needed(tokens=tokens + 1) >= needed()
    assert needed(replace(SMOL, parameters=2 * SMOL.parameters)) >= needed()
    assert training_bytes(SMOL, rows, tokens, 16, four_bits, bf16, True) <= training_bytes(SMOL, rows, tokens, 16, four_bits, bf16, False)
