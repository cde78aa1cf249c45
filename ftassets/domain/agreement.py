"""Agreement beyond chance (Cohen's kappa 1960, Krippendorff's alpha 1970) with an interval that holds for any number of rows.

Both are 1 - observed / expected disagreement. They are above a limit k exactly where the mean of (1 - k) * expected - observed is above 0.
What is expected depends on a row and on one unknown share, for example of ties; with this share given it is a mean of values with known
ends, tested by Gaffke's bound (see `mean_bounds`). The share is given the values of its own exact interval, whose error is taken
from the stated one (Berger and Boos 1994). A percentile bootstrap misses kappa in up to 24 % of samples at a stated 5 %, see
`bench/intervals.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from ftassets.domain.mean_bounds import Floats, weighted_p_values
from ftassets.domain.statistics import share_lower_bound, share_upper_bound

FOR_SHARE = 0.1  # part of the error for the unknown share
_GRID = 7  # values of it that are tried
_HALVINGS = 13

Interval = tuple[float, float]
Expected = Callable[[float], Floats]  # from the share to the disagreement expected of each kind of row


def beyond_chance(disagree: Sequence[float], counts: Sequence[int], expected: Expected, share: Interval, alpha: float) -> Interval:
    """Interval of 1 - mean(observed) / mean(expected), each side at risk `alpha`; `share` must be missed with `alpha` / 10 at most.

    One entry a kind of row: its disagreement (0..1), how many rows there are of it (0 for kinds that did not occur, but could). (-1, 1) is
    the widest.
    """
    often = np.asarray(counts, dtype=float)[None, :]

    def rejected(limit: float, sign: int) -> bool:
        return bool(beyond_chance_p(limit, sign, disagree, often, expected, share)[0] < alpha * (1 - FOR_SHARE))

    return _end(lambda limit: rejected(limit, 1), -1.0, 1.0), _end(lambda limit: rejected(limit, -1), 1.0, -1.0)


def beyond_chance_p(limit: float, sign: int, disagree: Sequence[float], counts: Floats, expected: Expected, share: Interval) -> Floats:
    """P-values of "above the limit" for sign 1, of "below" for -1, one for each row of `counts` (samples, kinds): the largest for any
    value of the share in its interval."""
    found = np.zeros(len(counts))
    for each in np.linspace(*share, _GRID):
        values = sign * ((1 - limit) * expected(float(each)) - np.asarray(disagree, dtype=float))
        found = np.maximum(found, weighted_p_values(values, counts, 0.0, float(values.min())))
    return found


# of two raters who prefer one of two answers or call a tie: whether they agree, whether the first calls a tie, whether the second does
KINDS = ((True, True, True), (True, False, False), (False, False, False), (False, True, False), (False, False, True))
APART = tuple(float(not kind[0]) for kind in KINDS)


def kappa(judged: Mapping[tuple[bool, bool, bool], int], confidence: float = 0.95) -> tuple[float, float, float] | None:
    """Cohen's kappa of two raters who prefer one of two answers or call a tie, with its interval; None where both only tie.

    `judged`: rows by their kind, see `KINDS`. Which answer is the first one is arbitrary, so that each row counts both ways.
    """
    counts, n = [judged.get(kind, 0) for kind in KINDS], sum(judged.values())
    observed, first, second = (sum(c for k, c in zip(KINDS, counts, strict=True) if k[place]) / n if n else 0.0 for place in range(3))
    chance = (1 - first) * (1 - second) / 2 + first * second
    if not n or chance == 1:
        return None
    alpha, ties = (1 - confidence) / 2, counts[0] + counts[4]
    return (observed - chance) / (1 - chance), *beyond_chance(APART, counts, expected_apart, share_of_ties(ties, n, alpha), alpha)


def expected_apart(tie: float) -> Floats:
    """Disagreement expected of each of `KINDS` if the second rater calls a tie with this share."""
    return np.array([1 - tie if first_ties else (1 + tie) / 2 for _, first_ties, _ in KINDS])


def share_of_ties(ties: int, n: int, alpha: float) -> Interval:
    """Interval of the second rater's share of ties, at the part of the risk that is for it."""
    each = 1 - alpha * FOR_SHARE / 2
    return share_lower_bound(ties, n, each), share_upper_bound(ties, n, each)


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
    share = _weighted_share(good, weight, counts, alpha * FOR_SHARE / 2)
    low, high = beyond_chance(
        (weight * apart).tolist(), counts.tolist(), lambda p: weight * (p * (1 - good) + (1 - p) * good), share, alpha
    )  # fmt: skip
    return 1 - observed / expected_now, low, high


def agreeing(rows: Sequence[Sequence[bool]]) -> tuple[int, int]:
    """Pairs of raters of one row who say the same, and all pairs."""
    pairs = [pair for row in rows for pair in combinations(row, 2)]
    return sum(a == b for a, b in pairs), len(pairs)


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
