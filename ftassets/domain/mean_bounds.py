"""Tests and bounds of a mean whose values have known ends: valid for any number of rows and any distribution.

Gaffke's bound (Gaffke 2005; Learned-Miller and Thomas 2019): weigh the rows at random by a flat Dirichlet distribution, as if there were
one more row at the worst end of the scale, and take the quantile of the weighted mean. For right and wrong it is the bound of Clopper and
Pearson (1934); for paired right and wrong against a difference of 0 its p-value is the exact McNemar test (1947). That it holds for every
distribution is proved for values of two kinds; `bench/gates.py` shows it by exact sums for paired right and wrong, and by simulation for
other values. The weights are independent gamma variables, so that the probability is one integral (Gil-Pelaez 1951), without random draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_STEP = 0.08  # of the trapezoidal rule in the logarithm of the frequency; its error falls exponentially with it
_FIRST = -12.0  # below, the integrand is linear in the frequency
_SMALL = 25.0  # e to minus this is nothing
_NOTHING = 1e-12  # values that are no further from the end are at it
_GRID = 300  # distinct values from which a grid is as good
_CERTAIN = 12.0  # standard deviations from which the probability is 0 or 1


def mean_p_value(values: Sequence[float], limit: float, low: float = 0.0) -> float:
    """One-sided p-value of "the mean is above `limit`" for values that are at least `low`; 1 without rows."""
    distinct, counts = _counted(values)
    return float(weighted_p_values(distinct, counts[None, :], limit, low)[0])


def mean_lower_bound(values: Sequence[float], confidence: float, low: float = 0.0) -> float:
    """One-sided lower bound of the mean of values that are at least `low`; `low` without rows.

    It is above a limit exactly where `mean_p_value` of that limit is below 1 - confidence.
    """
    from scipy.optimize import brentq

    distinct, counts = _counted(values)
    if not len(distinct) or distinct[-1] - low < _NOTHING:
        return low
    alpha = 1 - confidence

    def above(limit: float) -> float:
        return float(weighted_p_values(distinct, counts[None, :], limit, low)[0]) - alpha

    rows, width = counts.sum(), distinct[-1] - low
    mean = float(counts @ distinct + low) / (rows + 1)
    spread = float(np.sqrt((counts @ (distinct - mean) ** 2 + (low - mean) ** 2) / ((rows + 1) * (rows + 2))))
    first, last = mean - 3 * spread, mean + spread  # where it is, but for few rows or high confidence
    if first <= low or above(first) > 0:
        first = low
    if last >= distinct[-1] or above(last) < 0:
        last = distinct[-1]
    return float(brentq(above, first, last, xtol=1e-8 * width, rtol=1e-12))


def mean_upper_bound(values: Sequence[float], confidence: float, high: float = 1.0) -> float:
    """One-sided upper bound of the mean of values that are at most `high`: the mirror image of `mean_lower_bound`."""
    return -mean_lower_bound([-value for value in values], confidence, -high)


def pair_p_values(wins: ArrayLike, losses: ArrayLike, n: int, limit: float) -> Floats:
    """P-values of "wins less losses, as a share of n rows, are above `limit`" for many counts at once; the two broadcast.

    At `limit` 0 the exact McNemar test: a sign test on the rows that differ.
    """
    from scipy.stats import binom

    won, lost = np.broadcast_arrays(np.asarray(wins, dtype=np.int64), np.asarray(losses, dtype=np.int64))
    if limit == 0:
        exact: Floats = binom.sf(won - 1, won + lost, 0.5)
        return exact
    counts = np.stack([lost, n - won - lost, won], axis=-1).reshape(-1, 3)
    return weighted_p_values(np.array([-1.0, 0.0, 1.0]), counts, limit, -1.0).reshape(won.shape)


def weighted_p_values(values: Floats, counts: ArrayLike, limit: float, low: float) -> Floats:
    """`mean_p_value` of many samples at once: `counts` (samples, values) says how often each value occurs in each."""
    often = np.asarray(counts, dtype=float)
    distances = np.append(values, low) - limit
    distances /= np.abs(distances).max(initial=np.finfo(float).tiny)
    weights = np.hstack([often, np.ones((len(often), 1))])  # the row that is added
    if limit <= low:  # sure, if there is a row above it
        return np.where(often @ (np.asarray(values) > limit) > 0, 0.0, 1.0)
    result = np.empty(len(often))
    size = max(1, 4_000_000 // (len(distances) + 200))
    for start in range(0, len(often), size):
        result[start : start + size] = _below_zero(distances, weights[start : start + size])
    return result


def _counted(values: Sequence[float]) -> tuple[Floats, Floats]:
    """Distinct values and how often each occurs. Many are split between the two next points of a grid, which keeps their mean.

    Their spread grows by less than a thousandth of the scale, so that bounds get no closer.
    """
    distinct, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    if len(distinct) <= _GRID:
        return distinct, counts.astype(float)
    grid = np.linspace(distinct[0], distinct[-1], _GRID)
    place = (distinct - distinct[0]) / (grid[1] - grid[0])
    left = np.minimum(place.astype(int), _GRID - 2)
    upper = (place - left) * counts
    shares: Floats = np.zeros(_GRID)
    np.add.at(shares, left, counts - upper)
    np.add.at(shares, left + 1, upper)
    return grid, shares


def _below_zero(distances: Floats, shapes: Floats) -> Floats:
    """P(sum of distance * Gamma(shape) <= 0), one for each row of `shapes` (samples, distances)."""
    mean = shapes @ distances
    deviation = np.sqrt(shapes @ distances**2)
    scale = float(np.median(deviation))  # of the frequencies that matter
    probe = np.arange(-2.0, 60.0)
    decay = np.min(shapes @ (0.5 * np.log1p((distances[:, None] * np.exp(probe) / scale) ** 2)), axis=0)
    last = float(probe[np.argmax(decay > _SMALL)]) if decay[-1] > _SMALL else float(probe[-1])
    frequency = np.exp(np.arange(_FIRST, last + _STEP, _STEP)) / scale
    turned = distances[:, None] * frequency
    integrand = np.sin(shapes @ np.arctan(turned)) * np.exp(-shapes @ (0.5 * np.log1p(turned**2)))
    left = mean * frequency[0] / np.expm1(_STEP)  # the nodes below the first one, where the integrand is mean * frequency
    found = 0.5 - _STEP * (integrand.sum(axis=1) + left) / np.pi
    found = np.where(mean > _CERTAIN * deviation, 0.0, np.where(mean < -_CERTAIN * deviation, 1.0, found))
    clipped: Floats = np.clip(found, 0.0, 1.0)
    return clipped
