"""Shares and means of answers, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from ftassets.domain.statistics import wilson_interval

SMALLEST = 10  # answers below which a share says nothing


@dataclass(frozen=True)
class Estimate:
    """A share or a mean in 0..1 with its 95 % interval, of `n` answers."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def share_of(good: int, n: int) -> Estimate:
    """Share of good ones among n, with the Wilson interval; 0 with (0, 1) without any."""
    return Estimate(good / n if n else 0.0, *wilson_interval(good, n), n)


def mean_of(values: Sequence[float], population: int, confidence: float = 0.95) -> Estimate:
    """Mean of a simple random sample of values in 0..1 out of `population`: normal interval with the finite population correction
    (Cochran, Sampling Techniques, 1977, 2.6). Raises ValueError for no values or more than there are.

    The variance is taken with one row added at either end of the scale: ten equal scores are no certainty.
    """
    from scipy.stats import norm

    n = len(values)
    if not 0 < n <= population:
        raise ValueError(f"{n} values cannot be a sample of {population}")
    mean, middle = sum(values) / n, (sum(values) + 1) / (n + 2)
    variance = (sum((v - middle) ** 2 for v in values) + middle**2 + (1 - middle) ** 2) / (n + 1)
    half = float(norm.ppf((1 + confidence) / 2)) * sqrt(variance / n * (population - n) / max(population - 1, 1))
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), n)
