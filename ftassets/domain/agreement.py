"""Agreement beyond chance (Cohen's kappa 1960, Krippendorff's alpha 1970) with an interval that holds for any number of rows.

Both are 1 - observed / expected disagreement. They are above a limit k exactly where the mean of (1 - k) * expected - observed is above 0.
What is expected depends on a row and on one unknown share, for example of ties; with this share given it is a mean of values with known
ends, tested by Gaffke's bound (see `mean_bounds`). The share is given the values of its own exact interval, whose error is taken
from the stated one (Berger and Boos 1994). A bootstrap's interval misses kappa up to three times as often as stated for 30 rows.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from ftassets.domain.mean_bounds import Floats, mean_lower_bound, mean_upper_bound, weighted_p_values

_FOR_SHARE = 0.1  # part of the error for the unknown share
_GRID = 9  # values of it that are tried
_HALVINGS = 20

Interval = tuple[float, float]
Expected = Callable[[float], Floats]  # from the share to the disagreement expected of each kind of row


def beyond_chance(disagree: Sequence[float], counts: Sequence[int], expected: Expected, share: Interval, alpha: float) -> Interval:
    """Interval of 1 - mean(observed) / mean(expected), each side at risk `alpha`; `share` must be missed with `alpha` / 10 at most.

    One entry a kind of row: its disagreement (0..1), how many rows there are of it (0 for kinds that did not occur, but could). For rows
    of all kinds (-1, 1) is the widest.
    """
    observed, often = np.asarray(disagree, dtype=float), np.asarray(counts, dtype=float)
    tried, left = np.linspace(*share, _GRID), alpha * (1 - _FOR_SHARE)

    def p_value(limit: float, sign: int) -> float:
        """Of "above the limit" for sign 1, of "below" for -1: the largest for any share."""
        found = 0.0
        for each in tried:
            values = sign * ((1 - limit) * expected(float(each)) - observed)
            found = max(found, float(weighted_p_values(values, often[None, :], 0.0, float(values.min()))[0]))
        return found

    return _end(lambda limit: p_value(limit, 1) < left, -1.0, 1.0), _end(lambda limit: p_value(limit, -1) < left, 1.0, -1.0)


def kappa(judged: Mapping[tuple[bool, bool, bool], int], confidence: float = 0.95) -> tuple[float, float, float] | None:
    """Cohen's kappa of two raters who prefer one of two answers or call a tie, with its interval; None where both only tie.

    `judged`: rows by whether the raters agree, whether the first calls a tie, whether the second does. Which answer is the first one is
    arbitrary, so that each row counts both ways.
    """
    n = sum(judged.values())
    kinds = [(True, True, True), (True, False, False), (False, False, False), (False, True, False), (False, False, True)]
    counts = [judged.get(kind, 0) for kind in kinds]
    observed, first, second = (sum(c for k, c in zip(kinds, counts, strict=True) if k[place]) / n if n else 0.0 for place in range(3))
    chance = (1 - first) * (1 - second) / 2 + first * second
    if not n or chance == 1:
        return None
    alpha = (1 - confidence) / 2
    ties = [0.0] * (n - round(second * n)) + [1.0] * round(second * n)

    def expected(tie: float) -> Floats:  # of each kind of row, if the second rater ties with this share
        return np.array([1 - tie if kind[1] else (1 + tie) / 2 for kind in kinds])

    share = _bounds(ties, 1 - alpha * _FOR_SHARE / 2)
    return (observed - chance) / (1 - chance), *beyond_chance([float(not kind[0]) for kind in kinds], counts, expected, share, alpha)


def krippendorff(rows: Sequence[Sequence[bool]], confidence: float = 0.95) -> tuple[float, float, float] | None:
    """Krippendorff's alpha of yes and no by any number of raters a row, with its interval; None without a row that two have rated, or
    if all ratings are the same.

    The estimate has Krippendorff's correction for few ratings; the interval is of the value that more rows would approach.
    """
    kinds: dict[tuple[int, int], int] = {}  # (ratings, yes) -> rows
    for row in rows:
        if len(row) > 1:
            kinds[len(row), sum(row)] = kinds.get((len(row), sum(row)), 0) + 1
    ratings = sum(m * c for (m, _), c in kinds.items())
    yes = sum(y * c for (_, y), c in kinds.items())
    if not 0 < yes < ratings:
        return None
    most = max(m for m, _ in kinds)
    every = [(m, y) for m in sorted({m for m, _ in kinds}) for y in range(m + 1)]
    weight = np.array([m / most for m, _ in every])  # a row counts by its ratings
    good = np.array([y / m for m, y in every])
    apart = np.array([2 * y * (m - y) / (m * (m - 1)) for m, y in every])
    counts = np.array([kinds.get(kind, 0) for kind in every])
    observed, expected_now = float(counts * weight @ apart), 2 * yes * (ratings - yes) / (ratings * (ratings - 1)) * float(counts @ weight)
    alpha = (1 - confidence) / 2
    share = _weighted_share(good, weight, counts, alpha * _FOR_SHARE / 2)
    low, high = beyond_chance(
        (weight * apart).tolist(), counts.tolist(), lambda p: weight * (p * (1 - good) + (1 - p) * good), share, alpha
    )  # fmt: skip
    return 1 - observed / expected_now, low, high


def agreeing(rows: Sequence[Sequence[bool]]) -> tuple[int, int]:
    """Pairs of raters of one row who say the same, and all pairs."""
    pairs = [pair for row in rows for pair in combinations(row, 2)]
    return sum(a == b for a, b in pairs), len(pairs)


def _bounds(values: Sequence[float], confidence: float) -> Interval:
    return mean_lower_bound(values, confidence), mean_upper_bound(values, confidence)


def _weighted_share(good: Floats, weight: Floats, counts: Floats, alpha: float) -> Interval:
    """Interval of the share of yes where rows weigh by their ratings: where the mean of weight * (good - share) is neither side of 0."""

    def beyond(share: float, sign: int) -> bool:
        values = sign * weight * (good - share)
        return bool(weighted_p_values(values, counts[None, :], 0.0, float(values.min()))[0] < alpha)

    return _end(lambda share: beyond(share, 1), 0.0, 1.0), _end(lambda share: beyond(share, -1), 1.0, 0.0)


def _end(rejected: Callable[[float], bool], first: float, last: float) -> float:
    """The end of the values that are rejected, from `first` on in the direction of `last`."""
    if not rejected(first):
        return first
    for _ in range(_HALVINGS):
        middle = (first + last) / 2
        first, last = (middle, last) if rejected(middle) else (first, middle)
    return first
