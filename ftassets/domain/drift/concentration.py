"""Concentration: queries of a window that have each other as neighbours, and hardly any that production knows.

A new topic near known ones is not far from the reference, but it is dense where the reference is thin.
"""

from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.blocks import row_blocks

CONCENTRATION = "topic_concentration"  # name of the statistic
NEIGHBOURS = 8
CROWDED = 6  # neighbours of the window that make a query part of a concentrated topic
LARGEST = 1000  # queries of a window that are compared with each other
SAME = 1e-6  # cosine distance of one text sent twice
GROWN = 3  # times its usual share: a known cluster that grew more counts as if it had grown by so much
# Score of a query by the number of its neighbours from the window. In a known topic they are a few, also when it grew severalfold; the
# sixth power leaves next to nothing of these, and most of a neighbourhood that the window has to itself.
SCORES = (np.arange(NEIGHBOURS + 1) / NEIGHBOURS) ** 6


@dataclass(frozen=True)
class Concentration:
    """The scores of a window's queries as a share of it, and which queries are `crowded` (n,): part of a concentrated topic.

    `value` is about the share of small concentrated topics; of a large one it counts no more than `GROWN` lets it.
    """

    value: float
    crowded: np.ndarray


def nearest_rows(vectors: np.ndarray) -> np.ndarray:
    """The rows (m, NEIGHBOURS) nearest to each of unit vectors (m, d), itself left out; of fewer than that, some of them twice."""
    m, count = len(vectors), min(NEIGHBOURS, len(vectors) - 1)
    found, start = np.empty((m, count), dtype=np.int32), 0
    for block in row_blocks(vectors, m):
        similarity = block @ vectors.T
        similarity[np.arange(len(block)), np.arange(start, start + len(block))] = -2.0
        found[start : start + len(block)] = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        start += len(block)
    return found[:, np.arange(NEIGHBOURS) % count]


def nearest_similarities(queries: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Cosine similarity (n, NEIGHBOURS) of each unit query (n, d) to its nearest unit reference vectors (m, d), the largest first."""
    parts = [_largest(block @ reference.T) for block in row_blocks(queries, len(reference))]
    return np.concatenate(parts) if parts else np.empty((0, NEIGHBOURS), dtype=np.float32)


def concentration(
    window: np.ndarray, known: np.ndarray, clusters: np.ndarray, occupancy: np.ndarray, largest: int = LARGEST
) -> Concentration:
    """Concentration of a window's unit vectors (n, d) with these `clusters` (n,), of which the reference has `occupancy` (k,) queries.

    `known` (n, NEIGHBOURS) are their `nearest_similarities` to the reference. Of each query, how many of the nearest `NEIGHBOURS` in
    both sets together are from the window: the nearest-neighbour two-sample test (Schilling 1986, Henze 1988), scored by `SCORES`.
    A text sent twice counts once, and at equal distance the reference comes first. Of a cluster with more than `GROWN` times its
    share, only so many queries count, and count as neighbours: a change of the mix alone is not new. Of a window above `largest`, so many
    queries at even steps are compared: the more of both sets is the window, the more of its neighbours are, also in a known topic.
    """
    n = len(window)
    chosen = np.arange(n) if n <= largest else np.linspace(0, n - 1, largest).astype(int)
    some = window[chosen]
    among = some @ some.T
    np.fill_diagonal(among, -2.0)
    distinct = ~np.any(np.triu(among > 1 - SAME, 1), axis=0)
    chosen, among = chosen[distinct], among[np.ix_(distinct, distinct)]
    counted = _counted(clusters[chosen], occupancy)
    among = among[:, counted]
    # the window has j of the nearest when its j-th neighbour is nearer than the reference's (NEIGHBOURS + 1 - j)-th
    counts = (_largest(among) > known[chosen, ::-1]).sum(axis=1)
    crowded = np.zeros(n, dtype=bool)
    crowded[chosen[counts >= CROWDED]] = True
    return Concentration(float(SCORES[counts[counted]].sum() / min(n, largest)), crowded)


def _counted(clusters: np.ndarray, occupancy: np.ndarray) -> np.ndarray:
    """Whether each of the queries with these clusters (n,) counts as a neighbour: at random, as many of a cluster as it may have."""
    most = np.maximum(GROWN * len(clusters) * occupancy / occupancy.sum(), 2 * NEIGHBOURS)
    order = np.random.default_rng(0).permutation(len(clusters))
    by_cluster = order[np.argsort(clusters[order], kind="stable")]
    start = np.searchsorted(clusters[by_cluster], clusters[by_cluster])
    counted = np.zeros(len(clusters), dtype=bool)
    counted[by_cluster] = np.arange(len(clusters)) - start < most[clusters[by_cluster]]
    return counted


def concentration_of_draws(neighbours: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Concentration (draws,) of windows of rows (draws, n) of the reference, each against the rest of it.

    `neighbours` (m, NEIGHBOURS) are those among all rows, so that no distance is formed. A row drawn twice is one row. The window's
    part of the rows, n / m, is a little larger than that of a fresh window, n / (m + n): thresholds are too high rather than too low.
    """
    drawn, inside = np.empty(len(rows)), np.zeros(len(neighbours), dtype=bool)
    for place, window in enumerate(rows):
        inside[window] = True
        drawn[place] = SCORES[inside[neighbours[window]].sum(axis=1)].mean()
        inside[window] = False
    return drawn


def _largest(similarity: np.ndarray) -> np.ndarray:
    """The `NEIGHBOURS` largest of each row, the largest first; what is missing is -3."""
    missing = NEIGHBOURS - similarity.shape[1]
    if missing > 0:
        similarity = np.pad(similarity, ((0, 0), (0, missing)), constant_values=-3.0)
    return -np.sort(np.partition(-similarity, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS], axis=1)
