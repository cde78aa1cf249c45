"""The loss of what a row teaches, as the model itself would compute it, for the taught positions only."""

from collections.abc import Mapping
from typing import Any


def taught_loss(model: Any, inputs: Mapping[str, Any], count: Any = None) -> tuple[Any, Any]:
    """Cross entropy of the k labels (n, m) that are not -100, divided by `count` or by k, and the logits (k, vocabulary) behind it.

    Each row's part is multiplied by its `weights` (n), where inputs have them.

    `model` is a causal language model of transformers. Its own forward pass makes the logits, with whatever it does to them, such as
    a scale or a cap, but of taught positions only: those of prompts and padding take most of the time on a CPU. The auxiliary loss
    of a mixture of experts is added where the model's configuration asks for it, as transformers adds it.
    """
    import torch

    targets = inputs["labels"][:, 1:]
    taught = targets != -100

    def keep(module: Any, arguments: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[:, :-1][taught][None]
        return output

    hook = model.base_model.register_forward_hook(keep)
    try:
        output = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], use_cache=False)
    finally:
        hook.remove()
    logits = output.logits[0]
    if (weights := inputs.get("weights")) is None:
        loss = torch.nn.functional.cross_entropy(logits.float(), targets[taught], reduction="sum")
    else:
        each = torch.nn.functional.cross_entropy(logits.float(), targets[taught], reduction="none")
        loss = (each * weights[:, None].expand_as(targets)[taught]).sum()
    loss = loss / (taught.sum() if count is None else count)
    if (balance := getattr(output, "aux_loss", None)) is not None and not isinstance(balance, int):
        loss = loss + model.config.router_aux_loss_coef * balance
    return loss, logits


def plain(model: Any) -> Any:
    """The causal language model below a PEFT model, adapter and all; of a model without adapter, itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
