"""Rows of token ids as one rectangle, whatever the tokenizer says about padding: some have no token for it."""

from collections.abc import Mapping, Sequence
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


def right_padded(rows: Sequence[Sequence[int]], device: Any) -> tuple[Any, Any]:
    """The same with the zeros on the right, as rows are trained on."""
    import torch

    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row, dtype=torch.long)
        mask[place, : len(row)] = 1
    return ids.to(device), mask.to(device)


def batches_of(lengths: Mapping[int, int], most: int) -> list[list[int]]:
    """Places by their length, so many to a batch that it has no more than `most` tokens with its padding, but at least one."""
    batches: list[list[int]] = []
    for place in sorted(lengths, key=lambda place: lengths[place]):
        if batches and (len(batches[-1]) + 1) * lengths[place] <= most:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
