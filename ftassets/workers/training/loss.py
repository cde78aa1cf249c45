"""What a row teaches, as the model itself would compute it, for the taught positions only."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ftassets.workers.chat_template import Taught


class TaughtLogits(NamedTuple):
    """Logits (k, vocabulary) of the k taught positions, their targets (k,), the mask (n, m - 1) of these positions, and the auxiliary
    loss of a mixture of experts, 0 of other models."""

    logits: Any
    targets: Any
    taught: Any
    auxiliary: Any


def taught_logits(model: Any, inputs: Mapping[str, Any]) -> TaughtLogits:
    """The logits behind the k labels (n, m) that are not -100.

    `model` is a causal language model of transformers. Its own forward pass makes the logits, with whatever it does to them, such as
    a scale or a cap, but of taught positions only: those of prompts and padding take most of the time on a CPU. The auxiliary loss
    of a mixture of experts is there where the model's configuration asks for it, weighted as transformers weighs it.
    """
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
    balance = getattr(output, "aux_loss", None)
    auxiliary = 0.0 if balance is None or isinstance(balance, int) else model.config.router_aux_loss_coef * balance
    return TaughtLogits(output.logits[0], targets[taught], taught, auxiliary)


def taught_loss(model: Any, inputs: Mapping[str, Any], count: Any = None) -> tuple[Any, Any]:
    """Cross entropy of the k labels that are taught, divided by `count` or by k, and the logits (k, vocabulary) behind it.

    Each row's part is multiplied by its `weights` (n), where inputs have them. See `taught_logits` for model and auxiliary loss.
    """
    import torch

    found = taught_logits(model, inputs)
    if (weights := inputs.get("weights")) is None:
        loss = torch.nn.functional.cross_entropy(found.logits.float(), found.targets, reduction="sum")
    else:
        each = torch.nn.functional.cross_entropy(found.logits.float(), found.targets, reduction="none")
        loss = (each * weights[:, None].expand_as(found.taught)[found.taught]).sum()
    loss = loss / (found.taught.sum() if count is None else count)
    return loss + found.auxiliary, found.logits


def answer_log_probs(model: Any, inputs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Log-probability (n,) in nats of each row's taught answer, the sum over its tokens, and the auxiliary loss, see `taught_logits`."""
    import torch

    found = taught_logits(model, inputs)
    each = -torch.nn.functional.cross_entropy(found.logits.float(), found.targets, reduction="none")
    return torch.zeros(found.taught.shape, device=each.device).masked_scatter(found.taught, each).sum(-1), found.auxiliary


def plain(model: Any) -> Any:
    """The causal language model below a PEFT model, adapter and all; of a model without adapter, itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def row_losses(model: Any, rows: Sequence[Taught], bf16: bool) -> tuple[list[float], list[int]]:
    """Loss in nats of the taught tokens of each row, and their number."""
    import torch

    found, counts = [], []
    model.eval()
    with torch.inference_mode(), torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16):
        for row in rows:
            ids = torch.tensor([row.ids], device=model.device)
            labels = ids.clone()
            labels[:, : row.start] = -100
            inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
            found.append(float(taught_loss(plain(model), inputs, 1)[0]))
            counts.append(len(row.ids) - row.start)
    return found, counts
