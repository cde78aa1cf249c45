"""What the drift alarm can see, and what fixed rules would cost, measured on the reference itself."""

from dataclasses import dataclass

import numpy as np

from ftassets.domain.drift.accumulation import STATISTIC, WindowEvidence, evidence, spread, standard_score
from ftassets.domain.drift.blocks import row_blocks
from ftassets.domain.drift.budget import reports_until
from ftassets.domain.drift.calibration import JITTER, SIZES, harmless_windows, mix_draws
from ftassets.domain.drift.comparison import MIN_FACTOR, MIN_SHARE, concentration_threshold, most_compared, novelty_thresholds
from ftassets.domain.drift.concentration import NEIGHBOURS, SCORES
from ftassets.domain.drift.mix_statistics import Summary
from ftassets.domain.drift.mmd import fourier_features
from ftassets.domain.drift.novelty import NOVELTY, novelty_scores, window_novelty
from ftassets.domain.drift.occupancy import assign, fit_centres
from ftassets.domain.drift.reference import Reference
from ftassets.wording import amount

NEAR = 1 / 3  # of the clusters, those nearest to others, play the new topics
PRESETS = {"centroid_cosine": 0.15, "psi": 0.2}
PRESET_CLUSTERS = 20
NEAREST = 128  # neighbours of a row among which those are sought that are left when topics are taken out
SHARES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5)  # of new topics, tried for the smallest one that is found
SEEN = 0.8  # of windows: then a share counts as found


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
        share = f"{self.unseen_share:.0%} new topics in windows of {amount(self.n, 'query', 'queries')}"
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

    New topics are played by the third of the reference's clusters that are nearest to others (`NEAR`), with the distances their queries
    would have if their own cluster were unknown, and by all of them at once. So the figure is for many topics as near to known ones as
    these are, which is about the hardest: `bench/drift.py` compares it with intents that the reference has never seen. One topic alone,
    or one farther off, is seen more often.

    Raises ValueError when the reference has fewer than two clusters, is too small to calibrate on, or n is below the smallest size.
    """
    rng, played = np.random.default_rng(seed), _play(reference, n)
    known, unknown, new_topics = played.known, played.unknown, played.new_topics
    candidates, others = np.flatnonzero(new_topics), np.flatnonzero(~new_topics)
    before = np.where(new_topics, _GONE, 0).astype(np.int8)
    thresholds = novelty_thresholds(reference, n, rate, min_factor, min_share)
    nearest, dense = _nearest(reference.vectors), concentration_threshold(reference, n, rate)
    seen = 0
    for rows in harmless_windows(reference.clusters, n, draws, rng):
        for row in rows:
            new, state = rng.choice(candidates, rng.binomial(n, unseen_share)), before.copy()
            left = rng.permutation(row[~new_topics[row]])[: n - len(new)]
            usual = np.append(left, rng.choice(others, n - len(new) - len(left)))
            window = np.concatenate([unknown[new], known[usual]])
            clusters = np.concatenate([played.others[new], reference.clusters[usual]])
            values = window_novelty(reference.usual, window, clusters)
            chosen = rng.permutation(n) < most_compared(reference)  # the others are in neither set
            state[usual] = state[new] = _GONE
            new, usual = new[chosen[: len(new)]], usual[chosen[len(new) :]]
            state[usual] = state[new] = _WINDOW
            values = np.append(values, _concentration(nearest, state, new, usual))
            seen += bool((values > [*thresholds, dense]).any())
    probability = seen / draws
    return Power(n, unseen_share, probability, reports_until(probability, consecutive))


def found_over_windows(
    reference: Reference, n: int, limit: float, unseen_share: float, windows: int, draws: int = 200, seed: int = 0
) -> float:
    """Chance that evidence that adds up over so many windows of n queries, `unseen_share` of them new, is above `limit` after one of them.

    New topics are played as in `power`, and stay; known ones have another harmless mix in each window. Alarms of single windows are not
    counted. Raises ValueError as `power`.
    """
    rng, played = np.random.default_rng(seed), _play(reference, n)
    column, of, null = list(NOVELTY).index(STATISTIC), spread(reference), reference.nulls[STATISTIC]
    candidates, others = np.flatnonzero(played.new_topics), np.flatnonzero(~played.new_topics)
    means = np.empty(draws * windows)
    for place, row in enumerate(row for rows in harmless_windows(reference.clusters, n, draws * windows, rng) for row in rows):
        new = rng.choice(candidates, rng.binomial(n, unseen_share))
        left = rng.permutation(row[~played.new_topics[row]])[: n - len(new)]
        usual = np.append(left, rng.choice(others, n - len(new) - len(left)))
        scores = np.concatenate([played.unknown[new], played.known[usual]])
        clusters = np.concatenate([played.others[new], reference.clusters[usual]])
        means[place] = window_novelty(reference.usual, scores, clusters)[column]
    standardised = [standard_score(null.p_value(n, float(mean))) for mean in means]
    found = 0
    for run in np.array(standardised).reshape(draws, windows):
        added = [WindowEvidence(0.0, 0.0, n, float(z)) for z in run]
        found += any(evidence(added[: number + 1], of).value > limit for number in range(windows))
    return found / draws


def smallest_share(reference: Reference, n: int, rate: float, draws: int = 200, seed: int = 0) -> float | None:
    """The smallest of `SHARES` of new topics that raises an alarm in `SEEN` of the windows of n queries; None if half is not enough.

    Raises ValueError as `power`.
    """
    low, high = 0, len(SHARES)
    while low < high:  # power rises with the share
        middle = (low + high) // 2
        if power(reference, n, rate, SHARES[middle], draws=draws, seed=seed).probability >= SEEN:
            high = middle
        else:
            low = middle + 1
    return SHARES[low] if low < len(SHARES) else None


def preset_false_alarm_rates(reference: Reference, n: int, draws: int = 1000, seed: int = 0) -> tuple[PresetRate, ...]:
    """What the fixed rules "centroid cosine > 0.15" and "PSI > 0.2 on 20 clusters" alarm on at windows of n queries of this reference.

    Raises ValueError when n is more than half of the reference.
    """
    m = len(reference.vectors)
    if 2 * n > m:
        raise ValueError(f"windows of {amount(n, 'query', 'queries')} leave too little of a reference of {m}")
    centres = fit_centres(reference.vectors, min(PRESET_CLUSTERS, m // 2), seed)
    clusters = assign(reference.vectors, centres)
    features = fourier_features(reference.vectors, reference.bandwidth, reference.seed)
    whole = Summary(reference.vectors.mean(axis=0), features.mean(axis=0), np.bincount(clusters, minlength=len(centres)))
    rng = np.random.default_rng(seed)
    own, other = (mix_draws(reference.vectors, features, clusters, m, whole, n, draws, rng, jitter) for jitter in (None, JITTER))
    return tuple(
        PresetRate(f"{name} > {limit}", *(float((drawn[name] > limit).mean()) for drawn in (own, other))) for name, limit in PRESETS.items()
    )


@dataclass(frozen=True)
class _Played:
    """Novelty scores of each row of the reference (m, columns) as a known query, and as one whose cluster is unknown and which is counted
    in one of the `others` (m,); which of the rows (m,) play new topics."""

    known: np.ndarray
    unknown: np.ndarray
    others: np.ndarray
    new_topics: np.ndarray


def _play(reference: Reference, n: int) -> _Played:
    names, distances, clusters = _as_if_unknown(reference)
    if len(names) < 2 or n < SIZES[0] or not reference.nulls:
        raise ValueError(f"power needs two clusters or more, a calibrated reference and windows of at least {SIZES[0]} queries")
    apart = [float(distances[reference.clusters == name].mean()) for name in names]
    topics = names[np.argsort(apart, kind="stable")[: max(1, round(NEAR * len(names)))]]
    return _Played(
        novelty_scores(reference.usual, reference.distances, reference.clusters),
        novelty_scores(reference.usual, distances, clusters),
        clusters,
        np.isin(reference.clusters, topics),
    )


_WINDOW, _GONE = 1, 2  # what a row of the reference plays: a query of the window, one of a new topic that was not sent; else itself


def _nearest(vectors: np.ndarray) -> np.ndarray:
    """The rows (m, up to `NEAREST`) nearest to each row of unit vectors (m, d), the nearest first."""
    count, start = min(NEAREST, len(vectors) - 1), 0
    found = np.empty((len(vectors), count), dtype=np.int32)
    for block in row_blocks(vectors, len(vectors)):
        similarity = block @ vectors.T
        similarity[np.arange(len(block)), np.arange(start, start + len(block))] = -2.0
        rows = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(similarity, rows, axis=1), axis=1, kind="stable")
        found[start : start + len(block)] = np.take_along_axis(rows, order, axis=1)
        start += len(block)
    return found


def _concentration(nearest: np.ndarray, state: np.ndarray, new: np.ndarray, usual: np.ndarray) -> float:
    """Concentration of a window of new and usual rows, where each row of the reference plays its `state` (m,).

    New rows have no neighbours among what is gone. Usual ones have: their own topic, which may reach into a cluster that is gone, is
    known.
    """
    around = state[nearest[new]]
    there = around != _GONE
    counted = there & (np.cumsum(there, axis=1) <= NEIGHBOURS)
    counts = ((around == _WINDOW) & counted).sum(axis=1), (state[nearest[usual, :NEIGHBOURS]] == _WINDOW).sum(axis=1)
    return float(SCORES[np.concatenate(counts)].mean())


def _as_if_unknown(reference: Reference) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Occupied clusters, and of each row (m,) its distance to the rows of other clusters and the nearest other cluster."""
    own = reference.clusters
    names = np.unique(own)
    order, start, distances = np.argsort(own, kind="stable"), 0, np.empty(len(own))
    ranked, labels = reference.vectors[order], own[order]
    for block in row_blocks(ranked, len(ranked)):
        similarity = block @ ranked.T
        similarity[labels[start : start + len(block), None] == labels] = -1.0
        distances[order[start : start + len(block)]] = 1.0 - similarity.max(axis=1)
        start += len(block)
    to_centres = reference.vectors @ reference.centres.T - (reference.centres**2).sum(axis=1) / 2
    to_centres[np.arange(len(own)), own] = -np.inf
    return names, distances, to_centres.argmax(axis=1)
