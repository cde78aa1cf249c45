"""Rows of token ids as one rectangle, whatever the tokenizer says about padding: some have no token for it."""

from collections.abc import Sequence
from typing import Any


def left_padded(rows: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """Ids and attention mask (n, longest) of the rows, with zeros on the left, where nothing is attended to."""
    import torch

    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, longest - len(row) :] = torch.tensor(row, dtype=torch.long)
        mask[place, longest - len(row) :] = 1
    return ids.to(device), mask.to(device)
