"""Whether queries are new to the model in production: nearest-neighbour novelty, calibrated to a false-alarm budget.

A window's statistics are the mean cosine distance of its queries to their nearest reference query, and the share of queries
farther away than 95 % of the reference is from itself. Both stay put when only the mix of known topics changes.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

CLUSTERS = 50
JITTER = 5.0  # Dirichlet concentration per cluster: how much a harmless mix may differ from the reference's own


class DriftVerdict(StrEnum):
    """What a drift report says."""

    ALARM = "ALARM"
    QUIET = "QUIET"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


@dataclass(frozen=True)
class Reference:
    """What production knows: vectors (m, d) with unit rows, their leave-one-out distances (m,), cluster of each row (m,)."""

    vectors: np.ndarray
    distances: np.ndarray
    clusters: np.ndarray

    @property
    def q95(self) -> float:
        """Distance below which 95 % of the reference is from its own nearest neighbour."""
        return float(np.quantile(self.distances, 0.95))


@dataclass(frozen=True)
class Statistic:
    """One statistic of a window, its threshold, and the share of harmless windows at or above its value."""

    name: str
    value: float
    threshold: float
    p_value: float

    @property
    def alarm(self) -> bool:
        return self.value > self.threshold


@dataclass(frozen=True)
class Comparison:
    """A window against the reference. `distances` (n,) belong to the window's queries; `mix_shift` only informs."""

    verdict: DriftVerdict
    reason: str
    statistics: tuple[Statistic, ...]
    distances: np.ndarray
    mix_shift: float | None


def alarm_rate(false_alarms: int, reports: float, risk: float = 0.05) -> float:
    """False-alarm rate per report at which more than `false_alarms` in `reports` reports has probability `risk`.

    Poisson approximation, solved through the gamma quantile: P(X > k; lam) = risk where lam = gammaincinv(k + 1, risk).
    """
    from scipy.special import gammaincinv

    return float(min(gammaincinv(false_alarms + 1, risk) / max(reports, 1.0), 0.05))


def build_reference(vectors: np.ndarray, seed: int = 0) -> Reference:
    """Leave-one-out distances and k-means clusters of unit vectors (m, d)."""
    from scipy.cluster.vq import kmeans2

    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -1.0)
    count = max(1, min(CLUSTERS, len(vectors) // 12))
    _, clusters = kmeans2(vectors.astype(np.float64), count, minit="++", seed=seed, missing="warn")
    return Reference(vectors, 1.0 - similarity.max(axis=1), clusters)


def null_distribution(reference: Reference, n: int, draws: int, seed: int = 0) -> np.ndarray:
    """Both statistics, shape (draws, 2), of windows of n queries that only differ in their mix of the reference's clusters."""
    rng = np.random.default_rng(seed)
    order = np.argsort(reference.clusters, kind="stable")
    _, starts, counts = np.unique(reference.clusters[order], return_index=True, return_counts=True)
    distances, limit = reference.distances[order], reference.q95
    parts = []
    for block in np.array_split(np.arange(draws), max(1, draws * n // 2_000_000)):  # bounds the memory
        weights = rng.dirichlet(JITTER * len(counts) * counts / counts.sum(), size=len(block))
        sizes = rng.multinomial(n, weights)
        clusters = np.repeat(np.tile(np.arange(len(counts)), len(block)), sizes.ravel())
        rows = starts[clusters] + (rng.random(len(clusters)) * counts[clusters]).astype(int)
        drawn = distances[rows].reshape(len(block), n)
        parts.append(np.stack([drawn.mean(axis=1), (drawn > limit).mean(axis=1)], axis=1))
    return np.concatenate(parts)


def draws_needed(rate: float) -> int:
    """Draws for a threshold at half of `rate`: about ten of them lie above it."""
    return int(min(max(np.ceil(20 / rate), 4000), 200_000))


def compare(reference: Reference, window: np.ndarray, rate: float, smallest: int, seed: int = 0) -> Comparison:
    """Compare a window's unit vectors (n, d) at a false-alarm rate shared evenly by the two statistics.

    Fewer than `smallest` queries are NOT ENOUGH DATA. Whether the reference is large enough (`reference_windows`) is the caller's to ask.
    """
    n = len(window)
    if n < smallest:
        return Comparison(DriftVerdict.NOT_ENOUGH_DATA, f"{n} queries in the window, {smallest} are needed", (), np.empty(0), None)
    distances = 1.0 - (window @ reference.vectors.T).max(axis=1)
    null = null_distribution(reference, n, draws_needed(rate), seed)
    values = distances.mean(), (distances > reference.q95).mean()
    statistics = tuple(
        Statistic(name, float(value), float(np.quantile(column, 1 - rate / 2)), float((column >= value).mean()))
        for name, value, column in zip(("novelty_mean", "novelty_share"), values, null.T, strict=True)
    )
    alarms = [s for s in statistics if s.alarm]
    mean, base = window.mean(axis=0), reference.vectors.mean(axis=0)
    mix_shift = float(1 - mean @ base / (np.linalg.norm(mean) * np.linalg.norm(base)))
    if alarms:
        reason = "; ".join(f"{s.name} {s.value:.3f} is above {s.threshold:.3f}" for s in alarms)
        return Comparison(DriftVerdict.ALARM, reason, statistics, distances, mix_shift)
    reason = "; ".join(f"{s.name} {s.value:.3f}, threshold {s.threshold:.3f}" for s in statistics)
    return Comparison(DriftVerdict.QUIET, reason, statistics, distances, mix_shift)
