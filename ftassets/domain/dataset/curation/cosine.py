"""Comparisons of unit vectors in tiles that fit into memory."""

from collections.abc import Iterator

import numpy as np

TILE = 2048
_ROUNDING = 1e-6  # a product of float32 vectors may fall this far short: equal vectors must count as equal


def alike(left: np.ndarray, right: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Positions in `left` (n, d) and `right` (m, d) of pairs with a cosine of at least `limit`, and the cosines, a tile at a time."""
    for i in range(0, len(left), TILE):
        for j in range(0, len(right), TILE):
            yield from _tile(left[i : i + TILE], right[j : j + TILE], limit, i, j)


def alike_pairs(vectors: np.ndarray, limit: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Positions (left, right), left < right, of rows of `vectors` (n, d) with a cosine of at least `limit`, a tile at a time."""
    for i in range(0, len(vectors), TILE):
        for j in range(i, len(vectors), TILE):
            for left, right, _ in _tile(vectors[i : i + TILE], vectors[j : j + TILE], limit, i, j):
                upper = left < right
                yield left[upper], right[upper]


def _tile(left: np.ndarray, right: np.ndarray, limit: float, i: int, j: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    similarity = left @ right.T
    found = similarity >= limit - _ROUNDING
    if found.any():
        rows, columns = np.nonzero(found)
        yield rows + i, columns + j, similarity[rows, columns]
