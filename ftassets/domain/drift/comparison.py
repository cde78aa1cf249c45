"""A window of queries against the reference: is it new, and did the mix change?"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np

from ftassets.domain.drift.calibration import JITTER, SIZES
from ftassets.domain.drift.concentration import CONCENTRATION, Concentration, concentration, nearest_similarities
from ftassets.domain.drift.energy import energy_distance, energy_rows
from ftassets.domain.drift.mix_statistics import MIX, Summary
from ftassets.domain.drift.mmd import fourier_features
from ftassets.domain.drift.novelty import NOVELTY, novelty_scores, window_novelty
from ftassets.domain.drift.occupancy import assign, psi_contributions
from ftassets.domain.drift.reference import Reference, calibrated_for, check_unit
from ftassets.errors import InvalidInput
from ftassets.wording import amount

INFORM_RATE = 0.01  # false-alarm rate of a statistic that only informs
MIN_FACTOR = 1.1
MIN_SHARE = 0.075
MIN_TOPIC = 0.005  # share of a window: a concentrated topic smaller than that matters to no one
ALARMS = (*NOVELTY, CONCENTRATION)  # the statistics that can raise an alarm, and share its false-alarm rate evenly


class DriftVerdict(StrEnum):
    """What a drift report says."""

    ALARM = "ALARM"
    QUIET = "QUIET"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


@dataclass(frozen=True)
class Statistic:
    """One statistic of a window, its threshold, and the share of harmless windows at or above its value (rounded up)."""

    name: str
    value: float
    threshold: float
    p_value: float
    informs_only: bool = False

    @property
    def above(self) -> bool:
        return self.value > self.threshold

    @property
    def alarm(self) -> bool:
        return self.above and not self.informs_only


@dataclass(frozen=True)
class MovedCluster:
    """A cluster whose share changed by more than harmless mixes do, with its part of the PSI and its p-value."""

    cluster: int
    reference_share: float
    window_share: float
    contribution: float
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """A window against the reference. Only `statistics` can alarm; `informing` ones never do.

    `distances` (n,), `clusters` (n,) and `crowded` (n,) belong to the window's queries in their order; a query is new when its distance
    is above `limit`, or when it is `crowded`: part of a concentrated topic. `moved` are the clusters that gained or lost, the largest
    contribution first. `is_new` and `mix_changed` are the answers in words. `blocked` says that there is no verdict until a person
    changes something.
    """

    verdict: DriftVerdict
    reason: str
    statistics: tuple[Statistic, ...] = ()
    informing: tuple[Statistic, ...] = ()
    distances: np.ndarray = field(default_factory=lambda: np.empty(0))
    limit: float | None = None
    clusters: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    crowded: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=bool))
    moved: tuple[MovedCluster, ...] = ()
    is_new: str = "Not known."
    mix_changed: str = "Not known."
    blocked: bool = False


def not_enough_data(reason: str, blocked: bool = False) -> Comparison:
    """The comparison that could not be made. `blocked`: more queries alone will not change that."""
    return Comparison(DriftVerdict.NOT_ENOUGH_DATA, reason, blocked=blocked)


def novelty_thresholds(
    reference: Reference, n: int, rate: float, min_factor: float = MIN_FACTOR, min_share: float = MIN_SHARE
) -> tuple[float, ...]:
    """Thresholds of the statistics of `NOVELTY` for windows of n queries, at a false-alarm rate shared evenly by all of `ALARMS`.

    Never below the smallest effect that matters: `min_factor` times the reference's own mean distance, `min_share` of the queries. The
    surprise has none but that of a window of the largest calibrated size: it is there for what those two do not reach.
    """
    nulls = calibrated_for(reference, rate).nulls
    smallest = {"novelty_mean": min_factor * float(reference.usual.overall[0]), "novelty_share": min_share}
    return tuple(max(nulls[name].threshold(n, rate / len(ALARMS)), smallest.get(name, 0.0)) for name in NOVELTY)


def concentration_threshold(reference: Reference, n: int, rate: float, min_topic: float = MIN_TOPIC) -> float:
    """Threshold of the concentration for windows of n queries, at its part of the rate; never below `min_topic` of the window."""
    return max(calibrated_for(reference, rate).nulls[CONCENTRATION].threshold(n, rate / len(ALARMS)), min_topic)


def most_compared(reference: Reference) -> int:
    """Queries of a window whose concentration is measured: at most as many as the largest window that it was calibrated on."""
    return int(reference.nulls[CONCENTRATION].sizes[-1])


def novelty_statistics(
    reference: Reference,
    distances: np.ndarray,
    clusters: np.ndarray,
    rate: float,
    min_factor: float = MIN_FACTOR,
    min_share: float = MIN_SHARE,
) -> tuple[Statistic, ...]:
    """The novelty statistics of a window's distances (n,) and clusters (n,), standardised to the reference's mix of clusters.

    A standardised share can be below zero: fewer queries are new than is usual in these clusters.
    """
    reference, n = calibrated_for(reference, rate), len(distances)
    values = window_novelty(reference.usual, novelty_scores(reference.usual, distances, clusters), clusters)
    thresholds = novelty_thresholds(reference, n, rate, min_factor, min_share)
    return tuple(
        Statistic(name, float(value), threshold, reference.nulls[name].p_value(n, float(value)))
        for name, value, threshold in zip(NOVELTY, values, thresholds, strict=True)
    )


def concentration_statistic(reference: Reference, found: Concentration, n: int, rate: float) -> Statistic:
    """The concentration of a window of n queries, with its threshold at `rate`."""
    null = calibrated_for(reference, rate).nulls[CONCENTRATION]
    return Statistic(CONCENTRATION, found.value, concentration_threshold(reference, n, rate), null.p_value(n, found.value))


def mix_statistics(reference: Reference, window: np.ndarray, clusters: np.ndarray) -> tuple[Statistic, ...]:
    """The statistics that only inform, of a window's vectors (n, d) and clusters (n,). Energy only where the reference is large enough."""
    n = len(window)
    seen = Summary(
        window.mean(axis=0, dtype=np.float64),
        fourier_features(window, reference.bandwidth, reference.seed).mean(axis=0, dtype=np.float64),
        np.bincount(clusters, minlength=len(reference.centres)),
    )
    values = {name: float(statistic(seen, reference.summary)) for name, statistic in MIX.items()}
    if "energy" in reference.nulls:
        compared = reference.vectors[energy_rows(len(reference.vectors), reference.seed)]
        values["energy"] = energy_distance(window, compared, reference.energy_spread)
    nulls = reference.nulls
    return tuple(
        Statistic(name, value, nulls[name].threshold(n, INFORM_RATE), nulls[name].p_value(n, value), informs_only=True)
        for name, value in values.items()
    )


def moved_clusters(reference: Reference, clusters: np.ndarray) -> tuple[MovedCluster, ...]:
    """Clusters whose count in a window, with queries' clusters (n,), is out of the ordinary; the largest part of the PSI first.

    A harmless window's count of a cluster with share s is beta-binomial with parameters 5 k s and 5 k (1 - s), since its shares are
    Dirichlet(5 k s); two-sided, at 1 % over all clusters (Bonferroni).
    """
    from scipy.stats import betabinom

    n, k = len(clusters), len(reference.centres)
    if k < 2:
        return ()
    counts = np.bincount(clusters, minlength=k)
    usual = (reference.occupancy + 0.5) / (reference.occupancy + 0.5).sum()
    a, b = JITTER * k * usual, JITTER * k * (1 - usual)
    p = np.minimum(1.0, 2 * np.minimum(betabinom.cdf(counts, n, a, b), betabinom.sf(counts - 1, n, a, b)))
    parts = psi_contributions(counts, reference.occupancy)
    order = [int(c) for c in np.argsort(-parts, kind="stable") if p[c] <= INFORM_RATE / k]
    return tuple(MovedCluster(c, float(usual[c]), float(counts[c] / n), float(parts[c]), float(p[c])) for c in order)


def compare(
    reference: Reference,
    window: np.ndarray,
    rate: float,
    smallest: int,
    min_factor: float = MIN_FACTOR,
    min_share: float = MIN_SHARE,
) -> Comparison:
    """Compare a window's unit vectors (n, d) with the reference, at a false-alarm rate a report.

    Fewer than `smallest` queries, or a reference too small to calibrate on, are NOT ENOUGH DATA; whether the reference is ten windows
    large is the caller's to ask. Raises ValueError when the vectors are not of length 1, InvalidInput when
    they do not have the reference's dimension.
    """
    n, needed = len(window), max(smallest, SIZES[0])
    if n < needed:
        return not_enough_data(f"{amount(n, 'query', 'queries')} in the window, {needed} are needed")
    if not reference.nulls.keys() >= set(ALARMS):
        return not_enough_data(
            f"the reference has {amount(len(reference.vectors), 'query', 'queries')}, at least {2 * SIZES[0]} are needed to calibrate", True
        )
    check_unit(window, "the window")
    if window.shape[1] != reference.vectors.shape[1]:
        raise InvalidInput(f"the window's vectors have {window.shape[1]} dimensions, the reference's {reference.vectors.shape[1]}")
    window = window.astype(np.float32, copy=False)
    known, clusters = nearest_similarities(window, reference.vectors), assign(window, reference.centres)
    reference, distances = calibrated_for(reference, rate), 1.0 - known[:, 0]
    dense = concentration(window, known, clusters, reference.occupancy, most_compared(reference))
    statistics = (
        *novelty_statistics(reference, distances, clusters, rate, min_factor, min_share),
        concentration_statistic(reference, dense, n, rate),
    )
    informing = mix_statistics(reference, window, clusters)
    moved = moved_clusters(reference, clusters)
    verdict, reason = verdict_of(statistics)
    alarms = [s for s in statistics if s.alarm]
    return Comparison(
        verdict, reason, statistics, informing, distances, reference.q95, clusters, dense.crowded, moved,
        _is_new(alarms, float((distances > reference.q95).mean()), float(dense.crowded.mean())), _mix_changed(informing, moved),
    )  # fmt: skip


def verdict_of(statistics: Sequence[Statistic]) -> tuple[DriftVerdict, str]:
    """The verdict of a window with its reason: ALARM if one of the statistics is above its threshold."""
    if alarms := [s for s in statistics if s.alarm]:
        return DriftVerdict.ALARM, "; ".join(f"{s.name} {s.value:.3f} is above {s.threshold:.3f}" for s in alarms)
    return DriftVerdict.QUIET, "; ".join(f"{s.name} {s.value:.3f}, threshold {s.threshold:.3f}" for s in statistics)


def fixed_rule_verdict(ruled: Statistic) -> tuple[DriftVerdict, str]:
    """The same of one statistic with a fixed limit."""
    verdict = DriftVerdict.ALARM if ruled.alarm else DriftVerdict.QUIET
    return verdict, f"{ruled.name} {ruled.value:.3f} is {'above' if ruled.alarm else 'not above'} the fixed limit {ruled.threshold:g}"


def by_fixed_rule(comparison: Comparison, name: str, limit: float) -> Comparison:
    """The comparison with its verdict from one informing statistic and a fixed limit, whatever that does to false alarms."""
    if comparison.verdict is DriftVerdict.NOT_ENOUGH_DATA:
        return comparison
    found = next(s for s in comparison.informing if s.name == name)
    ruled = replace(found, threshold=limit, informs_only=False)
    verdict, reason = fixed_rule_verdict(ruled)
    others = (replace(s, informs_only=True) for s in comparison.statistics)
    return replace(comparison, verdict=verdict, reason=reason, statistics=(*others, ruled))


def _is_new(alarms: list[Statistic], share: float, crowded: float) -> str:
    found = f"{share:.1%} of the queries are farther from the reference than 95 % of the reference is from itself"
    if crowded:
        found += f", and {crowded:.1%} are in groups that the reference hardly has"
    return f"Yes: {found}, more than windows of known topics show." if alarms else f"No: {found}, as windows of known topics show too."


def _mix_changed(informing: tuple[Statistic, ...], moved: tuple[MovedCluster, ...]) -> str:
    above = [s.name for s in informing if s.above]
    if not above and not moved:
        return "No: topics are mixed as harmless windows mix them."
    clusters = f"{amount(len(moved), 'cluster')} gained or lost share"
    return f"Yes: {', '.join(above) or 'no overall statistic'} above usual, {clusters}. By itself this asks for no training."
