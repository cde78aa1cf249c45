"""Rows of a large array in blocks, so that memory does not grow with it."""

from collections.abc import Iterator

import numpy as np

BLOCK_FLOATS = 4_000_000  # of the largest intermediate array: 16 MB of float32


def row_blocks(array: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """Views of consecutive rows of `array` (m, ...), such that rows times `width` stay within `BLOCK_FLOATS`."""
    step = max(1, BLOCK_FLOATS // max(width, 1))
    for start in range(0, len(array), step):
        yield array[start : start + step]
