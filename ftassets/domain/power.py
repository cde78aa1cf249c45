"""How often a test of a mean will tell, and with how many rows: by exact sums for paired right and wrong, else by resampling."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ftassets.domain.mean_bounds import Floats, pair_p_values, weighted_p_values
from ftassets.domain.statistics import fewest_right

ROWS_LIMIT = 100_000  # golden rows nobody writes: a gate that needs more practically never passes
POWER = 0.8  # the usual chance a plan asks for (Cohen 1988)
EFFECT = 0.04  # gain in accuracy that a better model has, if nothing else is said
_TAIL = 1e-10
_STRIDE = 16  # counts of losses of which one is searched for without a guess
_FEW = 60  # counts that are searched for all at once as fast
DRAWS = 500  # of rows like those there are: a share is good to about 0.02
_DISTINCT = 32  # values that a resampled distribution keeps


def critical_wins(n: int, losses: NDArray[np.int64], limit: float, alpha: float) -> NDArray[np.int64]:
    """Fewest wins of n rows, for each count of losses (ascending), whose p-value against `limit` is below alpha; one too many where none
    are.

    The more losses, the more wins it takes: some are found by halving, and a line through these is off by one at most for most others.
    """
    low, high = np.full(losses.shape, -1), n - losses + 1  # too few, and enough or one too many

    def tried(wins: NDArray[np.int64], places: NDArray[np.intp]) -> None:
        below = pair_p_values(wins, losses[places], n, limit) < alpha
        high[places[below]], low[places[~below]] = wins[below], wins[~below]

    def halve(places: NDArray[np.intp]) -> None:
        while (open_ := places[high[places] - low[places] > 1]).size:
            tried((low[open_] + high[open_]) // 2, open_)

    every = np.arange(len(losses))
    known = np.unique(np.append(every[::_STRIDE], every[-1:])) if len(every) > _FEW else every
    halve(known)
    guess = np.round(np.interp(losses, losses[known], high[known])).astype(np.int64)
    for wins in (guess, guess - 1, guess + 1, guess - 2):
        open_ = every[(low < wins) & (wins < high)]
        tried(wins[open_], open_)
    halve(every)
    return high


def share_power(n: int, true: float, share: float, confidence: float) -> float:
    """Chance that n right or wrong rows of this true share have a lower bound of at least `share` (Clopper-Pearson); 0 without rows."""
    from scipy.stats import binom

    first = fewest_right(n, share, confidence)
    return 0.0 if first is None else float(binom.sf(first - 1, n, true))


def pairs_power(n: int, win_share: float, loss_share: float, limit: float, alpha: float) -> float:
    """Chance that paired right and wrong on n independent rows has a p-value below alpha against `limit`.

    The shares are of rows that only the candidate, and only production, gets right. Exact: summed over losses and wins among the rest.
    """
    from scipy.stats import binom

    if n == 0:
        return 0.0
    losses = likely(n, loss_share)
    first = critical_wins(n, losses, limit, alpha)
    rest = min(1.0, win_share / (1 - loss_share)) if loss_share < 1 else 0.0
    return float(binom.pmf(losses, n, loss_share) @ binom.sf(first - 1, n - losses, rest))


def resampled_power(values: Sequence[float], n: int, limit: float, low: float, alpha: float) -> float:
    """Chance that n rows like these values have a mean with a p-value below alpha against `limit`; values are at least `low`.

    From a fixed set of draws, so that it is the same each time; good to about 0.02.
    """
    distinct, shares = _coarse(np.asarray(values, dtype=float))
    counts = np.random.default_rng(0).multinomial(n, shares, size=DRAWS)
    return float(np.mean(weighted_p_values(distinct, counts, limit, low) < alpha))


def smallest(enough: Callable[[int], bool], first: int = 1, figures: int = 2000, near: int | None = None) -> int | None:
    """The number from `first` on from which `enough` holds, None above `ROWS_LIMIT`; it may waver by a row or two, as exact tests do.

    Large numbers are found to one part in `figures`, and sooner if it is known what they are `near`.
    """
    low, high = first - 1, first
    if near and (guess := int(near / 1.3)) >= first:
        low, high = (low, guess) if enough(guess) else (guess, min(int(near * 1.3) + 1, ROWS_LIMIT))
    while not enough(high):
        if high >= ROWS_LIMIT:
            return None
        low, high = high, min(2 * high, ROWS_LIMIT)
    while high - low > max(1, low // figures):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def rough_rows(values: Sequence[float], limit: float, low: float, alpha: float, first: int) -> int | None:
    """About the rows from which such values are above the limit in 80 % of cases: their mean is taken as normal, their shape as seen."""
    from scipy.stats import norm

    distinct, shares = _coarse(np.asarray(values, dtype=float))
    mean = float(shares @ distinct)
    unlucky = float(norm.ppf(POWER) * np.sqrt(shares @ (distinct - mean) ** 2))  # how far below its truth a mean of n rows is, times root n

    def enough(n: int) -> bool:
        return bool(weighted_p_values(distinct, n * shares[None, :], limit + unlucky / np.sqrt(n), low)[0] < alpha)

    return smallest(enough, first, figures=100)


def likely(n: int, chance: float) -> NDArray[np.int64]:
    """Counts of a binomial, without the tails that no sum feels."""
    from scipy.stats import binom

    return np.arange(int(binom.ppf(_TAIL, n, chance)), int(binom.isf(_TAIL, n, chance)) + 1)


def _coarse(values: Floats) -> tuple[Floats, Floats]:
    """Distinct values and their shares; many values are put into groups of equal size, each with its mean."""
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) > _DISTINCT:
        groups = np.array_split(np.sort(values), _DISTINCT)
        distinct, counts = np.array([group.mean() for group in groups]), np.array([len(group) for group in groups])
    return distinct, counts / counts.sum()
