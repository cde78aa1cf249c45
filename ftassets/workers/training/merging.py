"""Whether the merged copy, which is rounded to bf16, answers as the model that was trained."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftassets.workers.chat_template import Taught
from ftassets.workers.number_format import answer_dtype

ROWS = 32  # compared at most


def compared(rows: Sequence[Taught]) -> list[Taught]:
    """At most ROWS of the rows, spread evenly."""
    count = min(ROWS, len(rows))
    return [rows[number * len(rows) // count] for number in range(count)]


def likely_tokens(model: Any, rows: Sequence[Taught], bf16: bool) -> list[int]:
    """The tokens that a model finds most likely where a row's answer and its end are taught, of all rows; each reads what is taught."""
    import torch

    model.eval()
    found: list[int] = []
    with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
        for row in rows:
            ids = torch.tensor([row.ids], device=model.device)
            found += model(input_ids=ids, use_cache=False).logits[0, row.start - 1 : -1].argmax(-1).tolist()
    return found


def merged_tokens(folder: Path, rows: Sequence[Taught]) -> list[int]:
    """The same of a merged copy, as it is served."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=answer_dtype(), use_safetensors=True, trust_remote_code=False)
    return likely_tokens(model, rows, bf16=False)


def agreement(trained: Sequence[int], merged: Sequence[int]) -> float:
    """Share of tokens that are the same; 1 of no tokens."""
    return sum(one == other for one, other in zip(trained, merged, strict=True)) / len(trained) if trained else 1.0
