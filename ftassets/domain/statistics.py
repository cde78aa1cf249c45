"""The few tests and intervals that verdicts rest on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np


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
    from scipy.stats import binom

    return float(binom.sf(pairs.only_candidate - 1, pairs.only_candidate + pairs.only_production, 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given: those below alpha hold together with that error rate (Holm 1979)."""
    adjusted, largest = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def share_lower_bound(successes: float, n: float, confidence: float) -> float:
    """One-sided exact lower bound of a proportion (Clopper and Pearson 1934); 0 without rows."""
    from scipy.stats import beta

    return float(beta.ppf(1 - confidence, successes, n - successes + 1)) if successes else 0.0


def fewest_right(n: int, share: float, confidence: float) -> int | None:
    """Fewest right rows of n whose share has a lower confidence bound of at least `share`; None when not even n are enough."""
    if n == 0 or share_lower_bound(n, n, confidence) < share:
        return None
    low, high = -1, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if share_lower_bound(middle, n, confidence) >= share else (middle, high)
    return high


def share_upper_bound(successes: float, n: float, confidence: float) -> float:
    """One-sided exact upper bound of a proportion (Clopper and Pearson 1934); 1 without rows."""
    return 1 - share_lower_bound(n - successes, n, confidence)


def p95_upper_rank(n: int, confidence: float) -> int:
    """Rank of the order statistic of n times that is above the 95th percentile with this chance (Hahn and Meeker 1991).

    Above n where not even the largest time is: at 95 % confidence for fewer than 59 times.
    """
    from scipy.stats import binom

    return int(binom.ppf(confidence, n, 0.95)) + 1  # the smallest k with P(fewer than k times below the percentile) >= confidence


def p95_lower_rank(n: int, confidence: float) -> int:
    """Rank of the order statistic of n times that is below the 95th percentile with this chance; 0 where not even the smallest is."""
    from scipy.stats import binom

    return n - int(binom.ppf(confidence, n, 0.05))  # the largest k with P(at least k times below the percentile) >= confidence


def p95_upper_bound(times: Sequence[float], confidence: float) -> float | None:
    """One-sided upper bound of the 95th percentile; None for too few times."""
    rank = p95_upper_rank(len(times), confidence)
    return float(sorted(times)[rank - 1]) if rank <= len(times) else None


def p95_lower_bound(times: Sequence[float], confidence: float) -> float | None:
    """One-sided lower bound of the 95th percentile; None for too few times."""
    rank = p95_lower_rank(len(times), confidence)
    return float(sorted(times)[rank - 1]) if rank >= 1 else None


def p95_ratio(candidate: Sequence[float], production: Sequence[float]) -> float:
    """95th percentile of the candidate's times over production's."""
    return float(np.quantile(candidate, 0.95) / np.quantile(production, 0.95))


def p95_ratio_upper_bound(candidate: Sequence[float], production: Sequence[float], confidence: float) -> float | None:
    """One-sided upper bound of the ratio of the 95th percentiles: an order statistic of the candidate over one of production.

    It holds for times of any shape, and however the times of a pair hang together. None for too few times, or times of 0.
    """
    ranks = p95_ratio_ranks(len(candidate), confidence)
    if ranks is None or not (below := sorted(production)[ranks[1] - 1]):
        return None
    return float(sorted(candidate)[ranks[0] - 1] / below)


@cache
def p95_ratio_ranks(n: int, confidence: float) -> tuple[int, int] | None:
    """Ranks of the candidate's upper and production's lower order statistic of n times; None for too few.

    The risks that each misses its 95th percentile add up to 1 - confidence at most (Bonferroni). Of the splits the one that is closest
    for normal times, which depends on n alone.
    """
    from scipy.special import ndtri
    from scipy.stats import binom

    upper = np.arange(p95_upper_rank(n, confidence), n + 1)
    left = (1 - confidence) - binom.sf(upper - 1, n, 0.95)  # what the lower bound may still risk
    lower = n - binom.ppf(1 - np.maximum(left, 1e-12), n, 0.05).astype(int)
    possible = (left > 0) & (lower >= 1)
    if not possible.any():
        return None
    widths = ndtri(upper / (n + 1)) - ndtri(np.maximum(lower, 0.5) / (n + 1))
    best = int(np.argmin(np.where(possible, widths, np.inf)))
    return int(upper[best]), int(lower[best])


def share_interval(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval of a proportion (Clopper and Pearson 1934); (0, 1) without rows.

    Wilson's covers shares near 0 or 1 in as few as 84 % of cases.
    """
    each = (1 + confidence) / 2
    return share_lower_bound(successes, n, each), share_upper_bound(successes, n, each)
