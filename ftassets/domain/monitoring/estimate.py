"""Shares and means of answers, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from ftassets.domain.mean_bounds import mean_lower_bound, mean_upper_bound
from ftassets.domain.statistics import share_interval

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
    """Share of good ones among n, with the exact interval; 0 with (0, 1) without any."""
    return Estimate(good / n if n else 0.0, *share_interval(good, n), n)


def mean_of(values: Sequence[float], population: int, confidence: float = 0.95) -> Estimate:
    """Mean of a simple random sample of values in 0..1 out of `population`, with Gaffke's bounds on both sides.

    They hold for rows drawn from any number; where most of the population was drawn, what the others can be at most is closer.
    Raises ValueError for no values or more than there are.
    """
    n = len(values)
    if not 0 < n <= population:
        raise ValueError(f"{n} values cannot be a sample of {population}")
    mean, each, drawn = sum(values) / n, (1 + confidence) / 2, n / population
    low = max(mean_lower_bound(values, each), mean * drawn)
    high = min(mean_upper_bound(values, each), mean * drawn + 1 - drawn)
    return Estimate(mean, min(low, mean), max(high, mean), n)
