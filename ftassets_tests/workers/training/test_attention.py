from typing import Any

import pytest

from ftassets.config.loop import Train
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.workers.training.attention import attention_layers
from ftassets.workers.training.methods.lora import adapter_config
from ftassets_tests.workers.training.test_families import FAMILIES, SHAPE

pytestmark = pytest.mark.models

NAMES = {
    "gpt2": ["attn.c_proj", "c_attn"],
    "gpt_neox": ["dense", "query_key_value"],
    "phi3": ["o_proj", "qkv_proj"],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_adapter_is_on_all_attention_layers_and_no_other(family: str) -> None:
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(family, vocab_size=32, **{**SHAPE, **FAMILIES[family]})
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config)
    assert attention_layers(model) == NAMES.get(family, ["k_proj", "o_proj", "q_proj", "v_proj"])
    adapted = get_peft_model(model, adapter_config(Train(preset="lora_attention"), model))
    layers = {name.rpartition(".lora_A")[0] for name, _ in adapted.named_parameters() if ".lora_A" in name}
    assert layers
    assert all("attn" in name or "attention" in name for name in layers)


def test_a_model_without_attention_is_told_of() -> None:
    import torch

    with pytest.raises(TrainingStopped, match="target_modules"):
        attention_layers(torch.nn.Sequential(torch.nn.Linear(2, 2)))
