"""Novelty: how far queries are from the nearest one that production knows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.blocks import row_blocks

QUANTILE = 0.95  # of the reference's own distances: beyond it a query counts as new
PRIOR = 5  # rows of the whole reference that each cluster is mixed with
STEADY = 20  # such rows where it is about how far scores are spread


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
    """What known queries show: the mean of each score of `NOVELTY`, overall (columns,) and by cluster (k, columns), the variances there
    (k, columns), and how many `rows` (k,) they rest on.
    """

    scale: Scale
    overall: np.ndarray
    by_cluster: np.ndarray
    variances: np.ndarray
    rows: np.ndarray

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
    rows = np.bincount(clusters, minlength=k)
    counts = rows[:, None]
    by_cluster = (sums + PRIOR * overall) / (counts + PRIOR)
    apart = (each - by_cluster[clusters]) ** 2
    squares = np.stack([np.bincount(clusters, column, k) for column in apart.T], axis=-1)
    variances = (squares + STEADY * apart.mean(axis=0)) / (counts + STEADY)
    return Usual(scale, overall, by_cluster, variances, rows)


def novelty_scores(known: Usual, distances: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Scores (..., columns as `NOVELTY`) of queries by their distance (...) and cluster (...); a window's mean is its novelty.

    Each is what it would be in the reference's own mix of clusters: less what is expected in the query's cluster, plus what is
    expected overall (direct standardisation). So a window rich in topics that were always diverse is not taken for new.
    """
    return _scores(distances, known.scale) - known.by_cluster[clusters] + known.overall


def window_novelty(known: Usual, scores: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    """Novelty (columns,) of a window: the mean of its queries' scores (n, columns), see `at_usual_mix`."""
    return at_usual_mix(known, scores.mean(axis=0), np.bincount(clusters, minlength=len(known.rows)))


def at_usual_mix(known: Usual, means: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Means of windows (..., columns) with so many queries of each cluster (..., k) as if they had the reference's own mix of clusters.

    What is expected in a cluster is the mean of as many queries as the reference has there, n_c of m. With shares w_c of n queries, and
    variances v_c, the mean is off by a variance of sum(w_c v_c) / n + sum(w_c^2 v_c / n_c). A window of topics that are few in the
    reference, as those of weekends may be, is off by more, and in each such window alike: its deviation is brought down to that of a
    window with w_c = n_c / m, by which thresholds are made. One that is off by less is left as it is.
    """
    n, m = counts.sum(axis=-1, keepdims=True), known.rows.sum()
    share = counts / n
    own = (share + n * share**2 / np.maximum(known.rows, 1)) @ known.variances
    wanted = (1 + n / m) * (known.rows / m @ known.variances)
    part = np.sqrt(np.divide(wanted, own, out=np.ones_like(own), where=own > wanted))
    found: np.ndarray = known.overall + (means - known.overall) * part
    return found


def _scores(distances: np.ndarray, scale: Scale) -> np.ndarray:
    return np.stack([score(distances, scale) for score in NOVELTY.values()], axis=-1)
