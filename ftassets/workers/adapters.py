"""Putting a PEFT adapter on its base, whatever kind it is."""

import json
from pathlib import Path
from typing import Any


def put_on(base: Any, adapter: Path, trainable: bool = False) -> Any:
    """The base with the adapter of a folder on it; learned tokens get their places in its vocabulary first."""
    from peft import PeftModel

    config = json.loads((adapter / "adapter_config.json").read_bytes())
    if config.get("peft_type") == "TRAINABLE_TOKENS":
        grow_vocabulary(base, max(config["token_indices"]) + 1)
    return PeftModel.from_pretrained(base, adapter, is_trainable=trainable)


def grow_vocabulary(model: Any, tokens: int) -> None:
    """Give a model's vocabulary that many tokens which it reads and never writes.

    The output layer finds each new token as likely as the mean of all others. It is untied from the input's embeddings, which are trained.
    """
    import torch

    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    before = inputs.weight.shape[0]
    tied = outputs.weight is inputs.weight
    if before < tokens:
        model.resize_token_embeddings(tokens, mean_resizing=False)
        inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    if tied:
        outputs.weight = torch.nn.Parameter(inputs.weight.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = model.config.get_text_config().tie_word_embeddings = False
        model.all_tied_weights_keys = {}
    with torch.no_grad():
        outputs.weight[before:] = outputs.weight[:before].float().mean(0).to(outputs.weight.dtype)
