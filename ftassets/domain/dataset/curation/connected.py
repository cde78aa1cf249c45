"""Rows that must stay together: the connected components of a graph whose edges arrive in parts."""

from collections.abc import Sequence

import numpy as np


class Components:
    """Labels (n,) of the components among n rows; edges are gathered and merged when there are many."""

    def __init__(self, count: int) -> None:
        self._labels = np.arange(count)
        self._edges: list[tuple[np.ndarray, np.ndarray]] = []
        self._pending = 0

    def unite(self, left: np.ndarray | Sequence[int], right: np.ndarray | Sequence[int]) -> None:
        """Put the rows of each pair into one component."""
        self._edges.append((np.asarray(left, dtype=np.int64), np.asarray(right, dtype=np.int64)))
        self._pending += len(left)
        if self._pending > len(self._labels) // 8:
            self._merge()

    def apart(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Which pairs (k,) are not known to be in one component; edges still gathered count as unknown."""
        return self._labels[left] != self._labels[right]

    def labels(self) -> np.ndarray:
        """Component number (n,) of each row."""
        self._merge()
        return self._labels

    def _merge(self) -> None:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        if not self._edges:
            return
        left = self._labels[np.concatenate([one for one, _ in self._edges])]
        right = self._labels[np.concatenate([other for _, other in self._edges])]
        self._edges, self._pending = [], 0
        graph = coo_matrix((np.ones(len(left), dtype=bool), (left, right)), shape=(len(self._labels),) * 2)
        self._labels = connected_components(graph, directed=False)[1][self._labels].astype(np.int64)
