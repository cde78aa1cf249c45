"""Tests and bounds of a mean whose values have known ends: valid for any number of rows and any distribution.

Gaffke's bound (Gaffke 2005; Learned-Miller and Thomas 2019): weigh the rows at random by a flat Dirichlet distribution, as if there were
one more row at the worst end of the scale, and take the quantile of the weighted mean. For right and wrong it is the bound of Clopper and
Pearson (1934); for paired right and wrong against a difference of 0 its p-value is the exact McNemar test (1947). That it holds for every
distribution is proved for values of two kinds; `bench/gates.py` shows it by exact sums for paired right and wrong, and by simulation for
other values. The weights are independent gamma variables, so that the probability is one integral, without random draws.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_STEP = 0.06  # of the rule in t: then errors are below 3 % of the smallest probabilities, and below 1e-9 of most
_SMALL = 32.0  # e to minus this is nothing
_LAST = 20  # of t, which is enough for one row
_ROUNDS = 60  # of the search for the saddle point, which takes less than ten
_NEAR = 1e-12  # part of the saddle point to which it is found
_AT_ONCE = 200_000  # numbers of an array that stays in the cache
_NOTHING = 1e-12  # values that are no further from the end are at it
_GRID = 300  # distinct values from which a grid is as good


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
    size = max(1, 400_000 // (len(distances) + 400))
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
    from scipy.special import betainc

    distances, place = np.unique(distances, return_inverse=True)
    merged: Floats = np.zeros((len(shapes), len(distances)))
    np.add.at(merged.T, place, shapes.T)
    if len(distances) == 2 and distances[0] < 0 < distances[1]:  # right and wrong: the ratio of two gamma variables
        exact: Floats = betainc(merged[:, 1], merged[:, 0], -distances[0] / (distances[1] - distances[0]))
        return exact
    found = np.empty(len(merged))
    turned = merged @ distances < 0  # then the probability of the other side is the small one, which is found exactly
    for side, each in ((~turned, distances), (turned, -distances)):
        if side.any():
            found[side] = _tail(each, merged[side])
    result: Floats = np.clip(np.where(turned, 1 - found, found), 0.0, 1.0)
    return result


def _tail(distances: Floats, shapes: Floats) -> Floats:
    """P(sum of distance * Gamma(shape) <= 0) where the mean of the sum is at least 0, exact also where it is tiny.

    The integral of exp(K(s)) / -s over a vertical line left of 0, where K is the cumulant function, through the saddle point of the
    integrand: there it hardly turns. The nodes are even in t for s = c + i width sinh(t).
    """
    result = np.zeros(len(shapes))
    below = np.where((distances < 0) & (shapes > 0), -distances, 0.0).max(axis=1, initial=0.0)
    some = np.flatnonzero(below)  # without a row below 0 there is nothing to find
    if not len(some):
        return result
    shapes = shapes[some]
    apart = np.where(shapes > 0, distances, 0.0)  # what does not occur has no pole that the line could meet
    centre = _saddle(apart, shapes, -1 / below[some])
    ends = 1 - apart * centre[:, None]  # above 0
    pulls = apart / ends
    width = 1 / np.sqrt((shapes * pulls**2).sum(axis=1) + centre**-2)
    for end in range(1, _LAST):
        fallen = (0.5 * shapes * np.log1p((pulls * (width * np.sinh(end))[:, None]) ** 2)).sum(axis=1)
        if fallen.min() > _SMALL:
            break
    t = np.arange(_STEP / 2, end + _STEP, _STEP)
    rise = width[:, None] * np.sinh(t)  # s = centre + i rise, and 1 - distance * s = ends * (1 - i pulls * rise)
    grown = (shapes * -np.log(ends)).sum(axis=1)[:, None] + np.zeros(rise.shape, dtype=complex)
    size = max(1, _AT_ONCE // rise.size)
    for start in range(0, len(distances), size):  # of the distances
        part = slice(start, start + size)
        turns = pulls[:, part, None] * rise[:, None, :]
        of = shapes[:, None, part]
        grown += ((of @ (-0.5 * np.log1p(turns**2))) + 1j * (of @ np.arctan(turns)))[:, 0]
    s = centre[:, None] + 1j * rise
    result[some] = _STEP / np.pi * ((np.exp(grown) / -s).real * width[:, None] * np.cosh(t)).sum(axis=1)
    return result


def _saddle(distances: Floats, shapes: Floats, pole: Floats) -> Floats:
    """Where the slope of K(s) - ln(-s), which is convex, is 0 between the pole and 0, for each row (samples, distances): Newton's method,
    with the middle of what is left where a step would leave it."""
    first, last = pole, np.zeros(len(pole))
    found = pole / 2
    for _ in range(_ROUNDS):
        pulls = distances / (1 - distances * found[:, None])
        slope = (shapes * pulls).sum(axis=1) - 1 / found
        first, last = np.where(slope > 0, first, found), np.where(slope > 0, found, last)
        step = found - slope / ((shapes * pulls**2).sum(axis=1) + found**-2)
        after = np.where((step > first) & (step < last), step, (first + last) / 2)
        moved, found = np.abs(after - found), after
        if (moved <= _NEAR * -found).all():
            break
    return found
