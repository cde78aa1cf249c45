"""Which unit vectors are near each other, without comparing each with each where there are many.

Up to EXACT vectors all are compared. Of more, one of CELL_SIZE is taken as a centre; a vector belongs to the cell of its nearest centre
and is compared with the members of the PROBES cells nearest to it (an inverted file, as in Jégou et al., Product quantization for
nearest neighbor search, 2011). Cosines are always computed: what is found is near, and what is missed is measured where it matters.
"""

from collections.abc import Iterator

import numpy as np

EXACT = 8_192  # vectors up to which each is compared with each
CELL_SIZE = 256
PROBES = 16
TILE = 2048
PART = 1 << 17  # vectors whose visits of cells are sorted at a time: of a million they would take half a gigabyte
ROUNDING = 1e-6  # a product of float32 vectors may fall this far short: equal vectors must count as equal

Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def alike(vectors: np.ndarray, positions: np.ndarray, right: np.ndarray, limit: float) -> Iterator[Pairs]:
    """Places in `positions` (k,) of vectors (n, d), positions in `right` (m, d) and the cosines of all pairs of at least `limit`.

    A tile at a time.
    """
    for i in range(0, len(positions), TILE):
        left = vectors[positions[i : i + TILE]]
        for j in range(0, len(right), TILE):
            rows, columns, cosine = _at_least(limit, left @ right[j : j + TILE].T)
            yield rows + i, columns + j, cosine


def cells_of(vectors: np.ndarray) -> np.ndarray:
    """Numbers (n, PROBES) of the cells nearest to each vector (n, d), nearest first.

    The order of the vectors does not matter: centres are taken at even steps of the vectors sorted by their first coordinate.
    """
    steps = np.linspace(0, len(vectors) - 1, max(1, len(vectors) // CELL_SIZE)).astype(np.int64)
    centres = np.unique(vectors[np.argsort(vectors[:, 0], kind="stable")[steps]], axis=0)
    probes = min(PROBES, len(centres))
    cells = np.empty((len(vectors), probes), dtype=np.int32)
    for start in range(0, len(vectors), TILE):
        cosine = vectors[start : start + TILE] @ centres.T
        near = np.argpartition(-cosine, probes - 1, axis=1)[:, :probes]
        nearest_first = np.argsort(-np.take_along_axis(cosine, near, 1), axis=1, kind="stable")
        cells[start : start + TILE] = np.take_along_axis(near, nearest_first, 1)
    return cells


class Neighbours:
    """Vectors that others are compared with, named by their position in `vectors` (n, d); `cells` are those of `cells_of`, or one cell."""

    def __init__(self, vectors: np.ndarray, cells: np.ndarray | None = None) -> None:
        self._vectors = vectors
        self._cells = np.zeros((len(vectors), 1), dtype=np.int32) if cells is None else cells
        self._members: dict[int, np.ndarray] = {}

    def add(self, positions: np.ndarray) -> None:
        """Compare with the vectors at these positions (k,) from now on."""
        for cell, places in grouped(self._cells[positions, 0]):
            self._members[cell] = np.concatenate([self._members.get(cell, positions[:0]), positions[places]])

    def alike(self, positions: np.ndarray, limit: float) -> Iterator[Pairs]:
        """Pairs with a cosine of at least `limit`: places in `positions` (k,), positions that were added, and the cosines.

        A vector that was added is alike itself.
        """
        for asking, known, cosine in self._compared(positions):
            rows, columns, values = _at_least(limit, cosine)
            yield asking[rows], known[columns], values

    def nearest(self, positions: np.ndarray, count: int) -> np.ndarray:
        """Positions (k, count) of the nearest that were added, the vector itself aside, in any order; -1 where fewer were compared."""
        best = np.full((len(positions), count), -2.0, dtype=np.float32)
        who = np.full((len(positions), count), -1, dtype=np.int64)
        for asking, known, cosine in self._compared(positions):
            cosine[positions[asking][:, None] == known] = -2.0
            both = np.concatenate([best[asking], cosine], axis=1)
            names = np.concatenate([who[asking], np.broadcast_to(known, cosine.shape)], axis=1)
            top = np.argpartition(-both, count - 1, axis=1)[:, :count]
            best[asking], who[asking] = np.take_along_axis(both, top, 1), np.take_along_axis(names, top, 1)
        who[best < -1.5] = -1
        return who

    def _compared(self, positions: np.ndarray) -> Iterator[Pairs]:
        """Tiles: places in `positions`, positions that were added, and the cosines of all their pairs."""
        for start in range(0, len(positions), PART):
            part = positions[start : start + PART]
            visited = self._cells[part]
            for cell, visits in grouped(visited.ravel()):
                known = self._members.get(cell, positions[:0])
                places = visits // visited.shape[1]
                for i in range(0, len(known), TILE):
                    columns = self._vectors[known[i : i + TILE]].T
                    for j in range(0, len(places), TILE):
                        rows = places[j : j + TILE]
                        yield rows + start, known[i : i + TILE], self._vectors[part[rows]] @ columns


def grouped(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each number among these (k,), in rising order, and the places where it is."""
    order = np.argsort(numbers, kind="stable")
    names, starts = np.unique(numbers[order], return_index=True)
    for name, start, end in zip(names.tolist(), starts, np.append(starts, len(order))[1:], strict=True):
        yield name, order[start:end]


def _at_least(limit: float, cosine: np.ndarray) -> Pairs:
    rows, columns = np.nonzero(cosine >= limit - ROUNDING)
    return rows, columns, cosine[rows, columns]
