"""In which number format this machine trains, and answers with weights that are stored as bf16."""

from typing import Any

from ftassets.processor import has_bf16


def computes_bf16() -> bool:
    """Whether this machine multiplies bf16 faster than fp32."""
    import torch

    return torch.cuda.is_bf16_supported() if torch.cuda.is_available() else has_bf16()


def answer_dtype() -> Any:
    """What a model is loaded in that only answers, as transformers' `dtype`: as its weights are stored, else in fp32.

    It is the same weights, and takes twice the memory.
    """
    import torch

    return "auto" if computes_bf16() else torch.float32
