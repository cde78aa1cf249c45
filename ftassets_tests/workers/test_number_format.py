"""The number format of models that answer."""

from pathlib import Path

import pytest
import torch

from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers import number_format
from ftassets.workers.evaluation.generate import load


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_model_answers_in_fp32_where_bf16_is_slow_and_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(number_format, "computes_bf16", lambda: has)
    model = load(make_tiny_model(tmp_path / "base"))[1]
    assert model.dtype == dtype
    weight = next(model.parameters())
    assert torch.equal(weight.to(torch.bfloat16).to(dtype), weight)
