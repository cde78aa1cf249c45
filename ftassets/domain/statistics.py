"""The few tests and intervals that verdicts rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GAFFKE_DRAWS = 20_000
_Counts = int | NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Paired right-or-wrong canary_answers: rows only the candidate got right, only production got right, and all rows."""

    only_candidate: int
    only_production: int
    n: int

    @classmethod
    def of(cls, candidate: Sequence[bool], production: Sequence[bool]) -> "Pairs":
        """Counts over rows in the same order. Raises ValueError when the lengths differ."""
        wins = sum(c and not p for c, p in zip(candidate, production, strict=True))
        losses = sum(p and not c for c, p in zip(candidate, production, strict=True))
        return cls(wins, losses, len(candidate))

    @property
    def difference(self) -> float:
        """Candidate's accuracy minus production's; 0 without rows."""
        return (self.only_candidate - self.only_production) / self.n if self.n else 0.0


def mcnemar_p(pairs: Pairs) -> float:
    """One-sided exact McNemar p-value for "the candidate is better": a sign test on the discordant rows (McNemar 1947)."""
    return float(mcnemar_p_values(pairs.only_candidate, pairs.only_production))


def mcnemar_p_values(only_candidate: _Counts, only_production: _Counts) -> NDArray[np.float64]:
    """`mcnemar_p` of many comparisons at once; the two shapes broadcast."""
    from scipy.stats import binom

    values: NDArray[np.float64] = binom.sf(only_candidate - 1, only_candidate + only_production, 0.5)
    return values


def paired_lower_bound(pairs: Pairs, confidence: float) -> float:
    """One-sided lower bound of the paired difference: Wald with half a row added to each cell (Agresti and Min 2005)."""
    return float(paired_lower_bounds(pairs.only_candidate, pairs.only_production, pairs.n, confidence))


def paired_lower_bounds(only_candidate: _Counts, only_production: _Counts, n: int, confidence: float) -> NDArray[np.float64]:
    """`paired_lower_bound` of many comparisons over n rows at once; the two shapes broadcast."""
    return _wald(only_candidate - only_production, only_candidate + only_production, n, confidence)


def paired_mean_lower_bound(differences: Sequence[float], confidence: float) -> float:
    """One-sided lower bound of the mean of per-row differences in [-1, 1]; `paired_lower_bound` where they are -1, 0 and 1.

    A bootstrap would give zero width on ten rows that happen not to differ.
    """
    return float(_wald(sum(differences), sum(d * d for d in differences), len(differences), confidence))


def paired_mean_p(differences: Sequence[float]) -> float:
    """One-sided p-value of "the mean of per-row differences in [-1, 1] is above 0".

    The Wald test whose bound is `paired_mean_lower_bound`: below 1 - confidence exactly where that bound is above 0.
    """
    from scipy.stats import norm

    mean, error = _moments(sum(differences), sum(d * d for d in differences), len(differences))
    return float(norm.sf(mean / error))


def _wald(total: Any, squares: Any, n: int, confidence: float) -> Any:
    """Lower bound of a mean from sum and sum of squares, each a number or an array."""
    from scipy.stats import norm

    mean, error = _moments(total, squares, n)
    return mean - float(norm.ppf(confidence)) * error


def _moments(total: Any, squares: Any, n: int) -> tuple[Any, Any]:
    """Mean and its standard error with two rows added: half a win, half a loss, one tie."""
    mean = total / (n + 2)
    return mean, np.sqrt(np.maximum((squares + 1) / (n + 2) - mean**2, 0.0) / (n + 2))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: those below alpha hold together with that error rate (Holm 1979)."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def share_lower_bound(successes: int, n: int, confidence: float) -> float:
    """One-sided exact lower bound of a proportion (Clopper and Pearson 1934); 0 without rows."""
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, successes, n - successes + 1)) if successes else 0.0


def p95_upper_bound(times: Sequence[float], confidence: float) -> float | None:
    """One-sided bound of the 95th percentile: the order statistic that is above it with this chance (Hahn and Meeker 1991).

    None when not even the largest time is: at 95 % confidence fewer than 59 times.
    """
    from scipy.stats import binom

    rank = int(binom.ppf(confidence, len(times), 0.95)) + 1  # the smallest k with P(fewer than k times below the percentile) >= confidence
    return float(sorted(times)[rank - 1]) if rank <= len(times) else None


def p95_ratio(candidate: Sequence[float], production: Sequence[float]) -> float:
    """95th percentile of the candidate's times over production's."""
    return float(np.quantile(candidate, 0.95) / np.quantile(production, 0.95))


def p95_ratio_upper_bound(
    candidate: Sequence[float], production: Sequence[float], confidence: float, draws: int = 4999, seed: int = 0
) -> float:
    """One-sided bootstrap bound of `p95_ratio`, resampling the interleaved pairs together."""
    times = np.stack([np.asarray(candidate, dtype=float), np.asarray(production, dtype=float)])
    picks = np.random.default_rng(seed).integers(0, times.shape[1], size=(draws, times.shape[1]))
    quantiles = np.quantile(times[:, picks], 0.95, axis=2)
    return float(np.quantile(quantiles[0] / quantiles[1], confidence))


def wilson_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval of a proportion (Wilson 1927); (0, 1) without rows."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_lower_bound(shares: Sequence[float], confidence: float) -> float:
    """One-sided lower bound of the mean of shares in [0, 1], a row each (Gaffke 2005); 0 without rows.

    Rows are weighed at random as if there were one more of share 0. For shares of 0 and 1 that is the bound of Clopper and Pearson
    (1934), so a hundred rows without a fault are not taken for proof of more than 0.97; shares that vary little give a closer one.
    """
    values, counts = np.unique(np.asarray(shares, dtype=float), return_counts=True)
    weights = np.random.default_rng(0).dirichlet([1, *counts], _GAFFKE_DRAWS)[:, 1:]
    return float(np.quantile(weights @ values, 1 - confidence))
