"""Novelty: how far queries are from the nearest one that production knows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.blocks import row_blocks

QUANTILE = 0.95  # of the reference's own distances: beyond it a query counts as new
PRIOR = 5  # rows of the whole reference that each cluster is mixed with


@dataclass(frozen=True)
class Scale:
    """What distances are measured by: the reference's own ones (m,), ascending, and the limit beyond which a query counts as new."""

    ordered: np.ndarray
    limit: float


def surprise(distances: np.ndarray, scale: Scale) -> np.ndarray:
    """Minus the logarithm of each distance's conformal p-value: the share of the reference's own distances at least as large.

    Its mean is Fisher's combination of p-values. It weighs a far query more than a share above one limit does, and depends on the
    embedder by ranks alone (Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005).
    """
    larger = len(scale.ordered) - np.searchsorted(scale.ordered, distances)
    return -np.log((larger + 1) / (len(scale.ordered) + 1))


# name -> a query's score by its distance; the mean over a window is the statistic
NOVELTY: dict[str, Callable[[np.ndarray, Scale], np.ndarray]] = {
    "novelty_mean": lambda distances, scale: distances,
    "novelty_share": lambda distances, scale: distances > scale.limit,
    "novelty_surprise": surprise,
}


def nearest_distances(queries: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Cosine distance (n,) of each unit query (n, d) to its nearest unit reference vector (m, d)."""
    parts = [1.0 - (block @ reference.T).max(axis=1) for block in row_blocks(queries, len(reference))]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)


def leave_one_out_distances(vectors: np.ndarray) -> np.ndarray:
    """Cosine distance (m,) of each unit vector (m, d) to its nearest other one; m >= 2."""
    parts, start = [], 0
    for block in row_blocks(vectors, len(vectors)):
        similarity = block @ vectors.T
        similarity[np.arange(len(block)), np.arange(start, start + len(block))] = -1.0
        parts.append(1.0 - similarity.max(axis=1))
        start += len(block)
    return np.concatenate(parts)


@dataclass(frozen=True)
class Usual:
    """What known queries show: the mean of each score of `NOVELTY`, overall (columns,) and by cluster (k, columns)."""

    scale: Scale
    overall: np.ndarray
    by_cluster: np.ndarray

    @property
    def limit(self) -> float:
        """Distance beyond which a query counts as new."""
        return self.scale.limit


def usual(distances: np.ndarray, clusters: np.ndarray, k: int) -> Usual:
    """From leave-one-out distances (m,) and clusters (m,), of k in all; small clusters lean towards the whole, by `PRIOR` rows."""
    scale = Scale(np.sort(distances), float(np.quantile(distances, QUANTILE)))
    each = _scores(distances, scale)
    overall = each.mean(axis=0, dtype=np.float64)
    sums = np.stack([np.bincount(clusters, column, k) for column in each.T], axis=-1)
    counts = np.bincount(clusters, minlength=k)[:, None]
    return Usual(scale, overall, (sums + PRIOR * overall) / (counts + PRIOR))


def novelty_scores(known: Usual, distances: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Scores (..., columns as `NOVELTY`) of queries by their distance (...) and cluster (...); a window's mean is its novelty.

    Each is what it would be in the reference's own mix of clusters: less what is expected in the query's cluster, plus what is
    expected overall (direct standardisation). So a window rich in topics that were always diverse is not taken for new.
    """
    return _scores(distances, known.scale) - known.by_cluster[clusters] + known.overall


def _scores(distances: np.ndarray, scale: Scale) -> np.ndarray:
    return np.stack([score(distances, scale) for score in NOVELTY.values()], axis=-1)
