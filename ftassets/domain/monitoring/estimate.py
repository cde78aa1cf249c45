"""Shares of answers, and levels over days, with their intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

from ftassets.domain.monitoring.lasting_drop import DAY_EFFECTS, DayShare
from ftassets.domain.statistics import share_interval, share_lower_bound, share_upper_bound

SMALLEST = 10  # answers below which a share says nothing


@dataclass(frozen=True)
class Estimate:
    """A share in 0..1 with its 95 % interval, of `n` answers."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def share_of(good: int, n: int) -> Estimate:
    """Share of good ones among n, with the exact interval; 0 with (0, 1) without any."""
    return Estimate(good / n if n else 0.0, *share_interval(good, n), n)


def level(days: Sequence[DayShare]) -> float:
    """Share of good ones over days, each unit weighing the same."""
    return min(sum(day.good for day in days) / sum(day.units for day in days), 1.0)


def level_bounds(days: Sequence[DayShare], confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bound of the lasting level of a share, each with this confidence.

    Clopper and Pearson's, for as many units as would have `level_variance` without effects of days (Korn and Graubard 1998).
    """
    share, (units, p) = level(days), _with_four(days)
    counted = sum(day.units for day in days) / (1 + _of_days(days) * units / (p * (1 - p)))
    return share_lower_bound(share * counted, counted, confidence), share_upper_bound(share * counted, counted, confidence)


def level_variance(days: Sequence[DayShare]) -> float:
    """Variance of `level` around the lasting one: of units, by the Agresti-Coull estimate, and of days with the usual effects."""
    units, p = _with_four(days)
    return p * (1 - p) / units + _of_days(days)


def largest_drop(before: Sequence[DayShare], now: Sequence[DayShare], confidence: float) -> float:
    """One-sided upper bound of how much lower the level is now: bounds of both, distances added in squares (Zou and Donner 2008)."""
    (_, highest), (lowest, _) = level_bounds(before, confidence), level_bounds(now, confidence)
    then, here = level(before), level(now)
    return then - here + hypot(highest - then, here - lowest)


def _with_four(days: Sequence[DayShare]) -> tuple[float, float]:
    """Units and share with two good ones and two bad ones added (Agresti and Coull 1998): its variance is never 0."""
    units = sum(day.units for day in days) + 4
    return units, (sum(day.good for day in days) + 2) / units


def _of_days(days: Sequence[DayShare]) -> float:
    """Variance of the share by effects of days of the usual size."""
    return (min(DAY_EFFECTS) / sum(day.units for day in days)) ** 2 * sum(day.units**2 for day in days)
