"""What the drift alarm can see, and what fixed rules would cost, measured on the reference itself."""

from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.blocks import row_blocks
from ftassets.domain.drift.budget import reports_until
from ftassets.domain.drift.calibration import JITTER, MIX, SIZES, draws_needed, harmless_windows, mix_draws, novelty_draws
from ftassets.domain.drift.comparison import MIN_FACTOR, MIN_SHARE
from ftassets.domain.drift.mmd import fourier_features
from ftassets.domain.drift.novelty import novelty_scores, usual
from ftassets.domain.drift.occupancy import assign, fit_centres
from ftassets.domain.drift.reference import Reference

FOLDS = 10
PRESETS = {"centroid_cosine": 0.15, "psi": 0.2}
PRESET_CLUSTERS = 20


@dataclass(frozen=True)
class Power:
    """How likely a report sees that this share of the queries is new, and after how many reports training starts."""

    n: int
    unseen_share: float
    probability: float
    reports: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        delay = f"after {self.reports:.1f} reports on average" if np.isfinite(self.reports) else "never in practice"
        share = f"{self.unseen_share:.0%} new topics in windows of {self.n} queries"
        return f"{share} are seen with probability {self.probability:.2f}, {delay}"


@dataclass(frozen=True)
class PresetRate:
    """A fixed rule and the share of windows it alarms on when nothing is new: of the reference's own mix, and of harmless other mixes."""

    rule: str
    own_mix: float
    other_mixes: float


def power(
    reference: Reference,
    n: int,
    rate: float,
    unseen_share: float,
    consecutive: int = 1,
    draws: int = 2000,
    seed: int = 0,
    min_factor: float = MIN_FACTOR,
    min_share: float = MIN_SHARE,
) -> Power:
    """Power of the alarm at windows of n queries, of which `unseen_share` are new, and the expected reports until `consecutive` alarms.

    New topics are played by whole clusters left out of the reference, each once; what is left is calibrated anew. So the figure is
    for topics as far from known ones as the reference's clusters are from each other; where it has fewer topics than clusters, parts
    of a topic play new ones and the power is understated.
    Raises ValueError when the reference has fewer than two clusters or n is below the smallest calibrated size.
    """
    nearest, names = _nearest_by_cluster(reference)
    if len(names) < 2 or n < SIZES[0]:
        raise ValueError(f"power needs two clusters or more, and windows of at least {SIZES[0]} queries")
    rng = np.random.default_rng(seed)
    folds = np.array_split(rng.permutation(len(names)), min(FOLDS, len(names)))
    seen = 0
    per_fold = -(-draws // len(folds))
    for fold in folds:
        distances = 1.0 - np.delete(nearest, fold, axis=1).max(axis=1)
        left_out = np.isin(reference.clusters, names[fold])
        kept = np.delete(names, fold)  # a query about a left-out topic falls into the nearest cluster that is left
        clusters = np.where(left_out, kept[assign(reference.vectors, reference.centres[kept])], reference.clusters)
        known = usual(distances[~left_out], clusters[~left_out], len(reference.centres))
        scores = novelty_scores(known, distances, clusters)
        old, new, mix = scores[~left_out], scores[left_out], clusters[~left_out]
        null = novelty_draws(old, mix, n, draws_needed(rate), rng)
        floors = min_factor * known.overall[0], min_share
        thresholds = np.maximum(np.quantile(null, 1 - rate / 2, axis=0, method="higher"), floors)
        for rows in harmless_windows(mix, n, per_fold, rng):
            unseen = rng.random(rows.shape)[..., None] < unseen_share
            window = np.where(unseen, new[rng.integers(len(new), size=rows.shape)], old[rows])
            seen += int((window.mean(axis=1) > thresholds).any(axis=1).sum())
    probability = seen / (per_fold * len(folds))
    return Power(n, unseen_share, probability, reports_until(probability, consecutive))


def preset_false_alarm_rates(reference: Reference, n: int, draws: int = 1000, seed: int = 0) -> tuple[PresetRate, ...]:
    """What the fixed rules "centroid cosine > 0.15" and "PSI > 0.2 on 20 clusters" alarm on at windows of n queries of this reference.

    Raises ValueError when n is more than half of the reference.
    """
    m = len(reference.vectors)
    if 2 * n > m:
        raise ValueError(f"windows of {n} queries leave too little of a reference of {m}")
    centres = fit_centres(reference.vectors, min(PRESET_CLUSTERS, m // 2), seed)
    clusters = assign(reference.vectors, centres)
    features = fourier_features(reference.vectors, reference.bandwidth, reference.seed)
    totals = (m, reference.vectors.mean(axis=0), features.mean(axis=0), np.bincount(clusters, minlength=len(centres)))
    rng = np.random.default_rng(seed)
    own, other = (mix_draws(reference.vectors, features, clusters, totals, n, draws, rng, jitter) for jitter in (None, JITTER))
    return tuple(
        PresetRate(f"{name} > {limit}", *(float((drawn[:, MIX.index(name)] > limit).mean()) for drawn in (own, other)))
        for name, limit in PRESETS.items()
    )


def _nearest_by_cluster(reference: Reference) -> tuple[np.ndarray, np.ndarray]:
    """Largest cosine (m, k) of each row to the other rows of each occupied cluster (k,)."""
    order = np.argsort(reference.clusters, kind="stable")
    names, starts = np.unique(reference.clusters[order], return_index=True)
    ranked, place, start, parts = reference.vectors[order], np.argsort(order), 0, []
    for block in row_blocks(reference.vectors, len(ranked)):
        similarity = block @ ranked.T
        similarity[np.arange(len(block)), place[start : start + len(block)]] = -1.0
        parts.append(np.maximum.reduceat(similarity, starts, axis=1))
        start += len(block)
    return np.concatenate(parts), names
