"""Learned tokens are part of vocabulary and chat template of whatever family, and no model ever writes one."""

from pathlib import Path
from typing import Any

import pytest

from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.methods.prefix import Prefix
from ftassets_tests.workers.training.test_families import FAMILIES, as_family, base, llama

pytestmark = [pytest.mark.slow, pytest.mark.models]
__all__ = ["base", "llama"]  # fixtures


@pytest.mark.parametrize("family", FAMILIES)
def test_the_copy_that_is_served_reads_the_learned_tokens_as_the_model_that_learned_them(family: str, base: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    as_family(base, family)
    job = tiny_job(tmp_path / "job", base, method="prefix", prefix_tokens=5)
    method = Prefix(job.train, base, "tiny")
    tokenizer = method.tokenizer()
    model: Any = method.model(tokenizer, torch.float32)
    [(name, learned)] = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    assert tuple(learned.shape) == (5, 64), name
    with torch.no_grad():
        learned.add_(torch.randn(learned.shape, generator=torch.Generator().manual_seed(0)))
    asked = [{"role": "user", "content": "dim"}]
    ids = torch.tensor([tokenizer.apply_chat_template(asked, add_generation_prompt=True)["input_ids"]])
    first = len(tokenizer) - 5
    assert ids[0, :5].tolist() == list(range(first, first + 5))
    assert tokenizer.apply_chat_template([{"role": "user", "content": "<|prefix_0|>"}], tokenize=False).count("<|prefix_0|>") == 2
    with torch.inference_mode():
        learned_logits = model.eval()(input_ids=ids).logits[0, -1].clone()
        kept = learned.clone()
        learned.zero_()
        assert not model(input_ids=ids).logits[0, -1].allclose(learned_logits), "the learned tokens are not read"
        learned.copy_(kept)
    method.save(model, tokenizer, tmp_path / "version")
    method.merge(tmp_path / "version")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "version" / "merged", dtype=torch.float32)
    with torch.inference_mode():
        served = merged.eval()(input_ids=ids).logits[0, -1].float()
    assert torch.allclose(learned_logits, served, atol=0.15)
    assert float(served[first:].max()) < float(served[:first].max())
