"""How a model's answers are decoded, the same wherever a version answers: in evaluation, in parity, and on its server."""

import json
from collections.abc import Mapping
from typing import Any


def decoding(temperature: float, own: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of transformers' GenerationConfig; `own` is what the model's generation_config.json says.

    Of the model's own settings top_k and top_p count, when answers are sampled. Its penalties do not: `transformers serve` drops them
    when it batches requests, so they count nowhere.
    """
    if temperature == 0:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": temperature, "top_k": own.get("top_k") or 0, "top_p": own.get("top_p") or 1.0}


def truncation(generation: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """top_k and top_p of a version whose own answers are sampled, for servers whose requests say how to decode."""
    sampled = decoding(generation.get("temperature", 0.0), own)
    return {name: value for name, value in sampled.items() if name in ("top_k", "top_p")}


def first_request(temperature: float, own: Mapping[str, Any]) -> dict[str, Any]:
    """Body of the first chat request to a new `transformers serve`: the server decodes all later ones as this one asks.

    A temperature alone would not do: without `do_sample` the server takes the likeliest token at any temperature.
    """
    return {
        "messages": [{"role": "user", "content": "ready?"}],
        "max_tokens": 1,
        "temperature": temperature,
        "generation_config": json.dumps(decoding(temperature, own)),
    }
