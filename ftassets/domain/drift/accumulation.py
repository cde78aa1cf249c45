"""Evidence of novelty that adds up over windows: a small shift that no single window shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ftassets.domain.drift.calibration import SIZES, mix_spread
from ftassets.domain.drift.comparison import Comparison, DriftVerdict, Statistic
from ftassets.domain.drift.novelty import NOVELTY, novelty_scores, window_novelty
from ftassets.domain.drift.reference import Reference
from ftassets.wording import amount

STATISTIC = "novelty_surprise"  # of each window, what is accumulated
EVIDENCE = "accumulated_novelty"  # name of the statistic over windows
SHIFTS = (0.05, 0.1, 0.2, 0.4)  # that the evidence is for: of the mean, in standard deviations of a query's surprise
KEPT = 60  # windows: a shift is looked for among so many
LOWEST = -2.0  # standard score of a window at most below the usual: p-values near 1 are coarse
LASTING = 0.25  # part of the variance of harmless mixes that stays for weeks; the rest is different in each window
LARGEST_LOG = 25.0


@dataclass(frozen=True)
class WindowEvidence:
    """What one window adds: its span (epoch seconds), its queries, and the standard score of its surprise."""

    begin: float
    until: float
    queries: int
    z: float


@dataclass(frozen=True)
class Spread:
    """By how much harmless windows differ, as variances in those of one query's surprise: between weeks, and from window to window."""

    lasting: float
    passing: float


@dataclass(frozen=True)
class Evidence:
    """The strongest evidence for a shift that lasts until now: its value, 1 for none, and how many of the newest windows it rests on."""

    value: float
    windows: int


def standard_score(p_value: float) -> float:
    """The standard score that is exceeded with probability `p_value`, not below `LOWEST`."""
    from scipy.stats import norm

    return max(float(norm.isf(p_value)), LOWEST)


def spread(reference: Reference) -> Spread:
    """How harmless windows differ from this reference: by its own sampling error, which stays, and by their mix of topics."""
    column = list(NOVELTY).index(STATISTIC)
    scores = novelty_scores(reference.usual, reference.distances, reference.clusters)[:, column]
    mixes = float(mix_spread(reference.usual, reference.clusters)[column] ** 2 / max(scores.var(), 1e-12))
    return Spread(1 / len(scores) + LASTING * mixes, (1 - LASTING) * mixes)


def evidence(windows: Sequence[WindowEvidence], spread: Spread) -> Evidence:
    """Evidence that the surprise is up since one of the windows (oldest first) and until the newest.

    A window's surprise is x = b + e: b, of variance `lasting`, is the same in all windows, e is not. Since the windows from s to t, the
    likelihood ratio of a shift d against none is exp((d B - d^2 A / 2) / (1 + lasting A)), with A the sum of 1 / v and B that of x / v
    over them, v the variance of e. The mean over `SHIFTS` is an e-process: without a shift it reaches a limit L from a given start with
    probability at most 1 / L (Ville), and from any of T starts with at most T / L. Ramdas et al., Game-theoretic statistics and safe
    anytime-valid inference (2023); Shin, Ramdas and Rinaldo, E-detectors (2022).
    """
    if not windows:
        return Evidence(1.0, 0)
    newest_first = list(reversed(windows[-KEPT:]))
    own = spread.passing + 1 / np.array([window.queries for window in newest_first])
    shifted = np.array([window.z for window in newest_first]) * np.sqrt(own + spread.lasting)
    a, b = np.cumsum(1 / own)[:, None], np.cumsum(shifted / own)[:, None]
    shifts = np.array(SHIFTS)
    logs = (shifts * b - shifts**2 * a / 2) / (1 + spread.lasting * a)
    values = np.exp(np.minimum(logs, LARGEST_LOG)).mean(axis=1)
    best = int(values.argmax())
    return Evidence(float(values[best]), best + 1)


def window_evidence(reference: Reference, distances: np.ndarray, clusters: np.ndarray, begin: float, until: float) -> WindowEvidence:
    """What the queries of a span add, by their distances (n,) and clusters (n,); n at least the smallest calibrated size."""
    values = window_novelty(reference.usual, novelty_scores(reference.usual, distances, clusters), clusters)
    p_value = reference.nulls[STATISTIC].p_value(len(clusters), float(values[list(NOVELTY).index(STATISTIC)]))
    return WindowEvidence(begin, until, len(clusters), standard_score(p_value))


def accumulated(
    reference: Reference,
    comparison: Comparison,
    times: Sequence[float],
    begin: float,
    until: float,
    smallest: int,
    earlier: Sequence[WindowEvidence],
) -> tuple[WindowEvidence, ...]:
    """What earlier windows added and the compared one from `begin` to `until` adds, at most `KEPT` of them, oldest first.

    `times` (n,) are those of its queries (epoch seconds). Windows may overlap: a query counts once, in the first window that has it.
    Fewer than `smallest` queries since the last window add nothing now and are left for the next one.
    """
    since = max(begin, earlier[-1].until) if earlier else begin
    fresh = np.array([at >= since for at in times], dtype=bool)
    if fresh.sum() < max(smallest, SIZES[0]):
        return tuple(earlier)
    new = window_evidence(reference, comparison.distances[fresh], comparison.clusters[fresh], since, until)
    return (*earlier, new)[-KEPT:]


def with_evidence(comparison: Comparison, found: Evidence, limit: float) -> Comparison:
    """The comparison of the newest window with the evidence of all windows as one more statistic, which raises the alarm above `limit`."""
    statistic = Statistic(EVIDENCE, found.value, limit, min(1.0, 1 / found.value))
    statistics = (*comparison.statistics, statistic)
    if not statistic.alarm:
        reason = comparison.reason
        if comparison.verdict is DriftVerdict.QUIET:
            reason += f"; {EVIDENCE} {found.value:.3g}, threshold {limit:.3g}"
        return replace(comparison, statistics=statistics, reason=reason)
    reason = f"{EVIDENCE} {found.value:.3g} is above {limit:.3g}"
    if comparison.verdict is DriftVerdict.ALARM:
        return replace(comparison, statistics=statistics, reason=f"{comparison.reason}; {reason}")
    windows = amount(found.windows, "window")
    said = f"Yes: the queries of the last {windows} together are farther from the reference than known topics are."
    return replace(comparison, verdict=DriftVerdict.ALARM, statistics=statistics, reason=reason, is_new=said)
