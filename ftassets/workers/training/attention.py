"""The attention layers of a model, whatever its family calls them."""

from typing import Any

from ftassets.domain.training.divergence import TrainingStopped


def attention_layers(model: Any) -> list[str]:
    """Names of the linear layers within attention, as short as PEFT can tell them from others: `q_proj`, or `attn.c_proj`.

    Raises TrainingStopped if no module of the model is called an attention.
    """
    import torch
    from transformers.pytorch_utils import Conv1D

    inside: set[tuple[str, str]] = set()
    outside: set[tuple[str, str]] = set()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear | Conv1D):
            *parents, last = name.split(".")
            within = any("attn" in parent or "attention" in parent for parent in parents)
            (inside if within else outside).add((parents[-1] if parents else "", last))
    if not inside:
        raise TrainingStopped("no layer of this base is called an attention: write the names of layers as train.target_modules")
    shared = {last for _, last in outside}
    return sorted({f"{parent}.{last}" if last in shared else last for parent, last in inside})
