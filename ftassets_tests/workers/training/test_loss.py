"""Our loss is the model's own, whatever its family does to the logits."""

from typing import Any

import pytest

from ftassets.workers.training.loss import taught_loss

pytestmark = pytest.mark.models

SMALL = {
    "vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "qwen3": {},
    "phi3": {},
    "gemma2": {"final_logit_softcapping": 0.5},
    "cohere": {"logit_scale": 0.1},
    "granite": {"logits_scaling": 8.0},
    "gpt_neox": {},
    "gpt2": {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 4},
    "mixtral": {"num_local_experts": 4, "output_router_logits": True, "router_aux_loss_coef": 0.5},
    "qwen2_moe": {
        "num_experts": 4, "moe_intermediate_size": 32, "shared_expert_intermediate_size": 32, "output_router_logits": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_loss_of_transformers(family: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    shape = {name: value for name, value in SMALL.items() if not (family == "gpt2" and name.startswith(("num", "hidden", "max", "head")))}
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**shape, **FAMILIES[family]})).eval()
    ids = torch.randint(3, 100, (3, 12))
    mask = torch.ones_like(ids)
    mask[1, 9:] = mask[2, 6:] = 0
    labels = ids.masked_fill(mask == 0, -100)
    labels[0, :5] = labels[1, :7] = labels[2, :2] = -100
    inputs = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    theirs = model(**inputs)
    loss, logits = taught_loss(model, inputs)
    assert loss.item() == pytest.approx(theirs.loss.item(), rel=1e-5)
    taught = labels[:, 1:] != -100
    assert torch.allclose(logits, theirs.logits[:, :-1][taught], atol=1e-5)
    count = torch.tensor(7)
    assert taught_loss(model, inputs, count)[0].item() == pytest.approx(model(**inputs, num_items_in_batch=count).loss.item(), rel=1e-5)
    assert torch.equal(model(**inputs).logits, theirs.logits), "the model is as it was"
