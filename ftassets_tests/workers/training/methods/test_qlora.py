"""Gradients through a base in 4 bits, also after a validation."""

from pathlib import Path
from typing import Any

import pytest

from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.loss import plain
from ftassets.workers.training.methods.qlora import QLora

pytestmark = pytest.mark.models


def gradients(model: Any, ids: Any) -> dict[str, Any]:
    import torch

    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = plain(model)(input_ids=ids).logits.float().logsumexp(-1).sum()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def test_the_layers_are_in_4_bits_twice_quantized_and_a_validation_leaves_their_gradients_whole(tmp_path: Path, tiny_base: Path) -> None:
    import torch
    from bitsandbytes.nn import Linear4bit

    method = QLora(tiny_job(tmp_path, tiny_base, method="qlora", lora_dropout=0.0).train, tiny_base, "tiny")
    model = method.model(method.tokenizer(), torch.bfloat16)
    layers: list[Any] = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert len(layers) == 14
    assert all(layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested for layer in layers)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:  # zero at the start, then no gradient reaches lora_A
                weight.normal_(std=0.05)
    ids = torch.randint(5, 300, (2, 12))
    model.train()
    before = gradients(model, ids)
    model.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        plain(model)(input_ids=ids)
    model.train()
    after = gradients(model, ids)
    assert before.keys() == after.keys()
    assert all(before[name].equal(after[name]) for name in before)
