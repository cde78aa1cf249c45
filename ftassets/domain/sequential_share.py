"""Whether a share is above or below a limit, decided as early as the answers allow: exact for any time at which people stop.

Of a sample whose order and size are fixed beforehand, each answer is an analysis. The error that all analyses may make together is spent
over them by the 1.5th power of the share of the sample that was seen (Lan and DeMets 1983; Kim and DeMets 1987), by exact sums over the
binomial outcomes. The whole sample then decides nearly as a test of it alone, and a sample without a bad answer earlier.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ftassets.domain.mean_bounds import Floats
from ftassets.wording import amount

_SPENT = 1.5
_GRID = 50  # shares of a first grid, and of a finer one between two of its points
_NEVER = np.iinfo(np.int64).max


def decided_after(seen: Sequence[bool], most: int, limit: float, confidence: float) -> int | None:
    """After how many of the answers it is proved that the share of good ones is above `limit`; None where it is not.

    `seen` are answers in the order of the sample, whose size is `most`. If the share is `limit`, at most 1 - confidence of all samples
    ever prove it, however often people ask. Raises ValueError for more answers than the sample has.
    """
    if len(seen) > most:
        raise ValueError(f"{amount(len(seen), 'answer is', 'answers are')} more than the sample of {most}")
    first = fewest_good(most, limit, confidence)[: len(seen)]
    over = np.flatnonzero(np.cumsum(np.asarray(seen, dtype=np.int64)) >= first)
    return int(over[0]) + 1 if len(over) else None


def more_good(seen: Sequence[bool], most: int, limit: float, confidence: float) -> int | None:
    """How many more answers, all of them good, prove that the share is above `limit`; None where the rest of the sample does not."""
    whole = [*seen, *[True] * (most - len(seen))]
    found = decided_after(whole, most, limit, confidence)
    return None if found is None else max(0, found - len(seen))


def sequential_bounds(seen: Sequence[bool], most: int, confidence: float) -> tuple[float, float]:
    """One-sided lower and upper bound of the share, each valid at once for all times at which people may stop.

    Rounded outwards to a grid with steps below 0.001. (0, 1) without answers.
    """
    return _lower(seen, most, confidence), 1 - _lower([not good for good in seen], most, confidence)


@lru_cache(64)
def fewest_good(most: int, limit: float, confidence: float) -> NDArray[np.int64]:
    """Fewest good ones among the first 1, 2, ... `most` answers that prove a share above `limit`; a huge number where none do."""
    return _boundaries(most, np.array([limit]), 1 - confidence)[:, 0]


def _lower(seen: Sequence[bool], most: int, confidence: float) -> float:
    """The largest share on a grid below which all are rejected."""
    if not any(seen):
        return 0.0
    coarse = np.linspace(0, 1, _GRID + 1)
    start = _last_rejected(seen, most, coarse[:-1], confidence, _first_grid(most, confidence))
    fine = np.linspace(start, start + 1 / _GRID, _GRID, endpoint=False)
    return _last_rejected(seen, most, fine, confidence)


def _last_rejected(
    seen: Sequence[bool], most: int, shares: Floats, confidence: float, boundaries: NDArray[np.int64] | None = None
) -> float:
    first = _boundaries(most, shares, 1 - confidence, len(seen)) if boundaries is None else boundaries[: len(seen)]
    rejected: NDArray[np.bool_] = np.any(np.cumsum(np.asarray(seen, dtype=np.int64))[:, None] >= first, axis=0)
    kept = np.flatnonzero(~rejected[1:])  # the first share is zero, or the end of the grid before
    return float(shares[kept[0]] if len(kept) else shares[-1])


@lru_cache(64)
def _first_grid(most: int, confidence: float) -> NDArray[np.int64]:
    return _boundaries(most, np.linspace(0, 1, _GRID + 1)[:-1], 1 - confidence)


def _boundaries(most: int, shares: Floats, alpha: float, analyses: int | None = None) -> NDArray[np.int64]:
    """`fewest_good` of many shares at once, (analyses, shares): each takes what the budget up to it leaves."""
    analyses = most if analyses is None else analyses
    found = np.full((analyses, len(shares)), _NEVER)
    going = np.zeros((analyses + 2, len(shares)))  # chance of each count of good ones while nothing is proved
    going[0] = 1.0
    spent = np.zeros(len(shares))
    for seen in range(1, analyses + 1):
        going[1 : seen + 1] = going[1 : seen + 1] * (1 - shares) + going[:seen] * shares
        going[0] *= 1 - shares
        tails = going[seen::-1].cumsum(axis=0)[::-1]  # chance of at least 0, 1, ... good ones
        first = (tails > alpha * (seen / most) ** _SPENT - spent).sum(axis=0)  # tails fall
        proved = np.arange(seen + 1)[:, None] >= first
        spent += np.where(proved, going[: seen + 1], 0.0).sum(axis=0)
        going[: seen + 1] = np.where(proved, 0.0, going[: seen + 1])
        found[seen - 1] = np.where(first <= seen, first, _NEVER)
    return found
