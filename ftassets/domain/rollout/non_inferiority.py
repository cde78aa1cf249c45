"""Whether a candidate is proved to be no worse than production by more than a margin, at any number of ticks.

The difference of the shares of answers that lapse, whose variance counts users, not requests (the ratio estimator of cluster samples,
Cochran 1977, chapter 6): the answers of a user are alike. Its bound is an asymptotic confidence sequence: a normal mixture boundary
(Robbins 1970; one-sided form of Howard, Ramdas, McAuliffe and Sekhon 2021) in the information of the difference (Waudby-Smith, Arbour,
Sinha, Kennedy and Ramdas 2024). Few or no lapses must prove nothing: the candidate is scored as if it had one more user with as many
lapses as the worst that was seen, at least one.
"""

from dataclasses import dataclass
from math import inf, log, sqrt

from ftassets.domain.traffic.lapses import LapseCounts

FEWEST_USERS = 30  # of either version: with fewer the bound is not known
_TIGHT = 1.4  # the boundary is tightest where about as much information as the margin asks for has come


@dataclass(frozen=True)
class Difference:
    """Share of the candidate's answers that lapse less that of production's, and its upper bound; infinite where it is not known."""

    estimate: float
    bound: float


def difference(candidate: LapseCounts, production: LapseCounts, scale: float, error: float) -> Difference:
    """The difference with a bound that holds at all ticks at once with probability 1 - `error`.

    `scale` is the difference at which the bound is to be tight, above 0.
    """
    estimate = candidate.rate - production.rate
    if min(_users(candidate), _users(production)) < FEWEST_USERS:
        return Difference(estimate, inf)
    worst = max(candidate.most, production.most, 1)
    mine, theirs = _with(candidate, worst, worst), _with(production, worst, 0)
    variance = sum(
        (each.lapses_squared - 2 * each.rate * each.product + each.rate**2 * each.answers_squared) / each.answers**2
        for each in (mine, theirs)
    )
    information, rho = 1 / max(variance, (worst / mine.answers) ** 2), _TIGHT / scale**2
    boundary = sqrt(2 * (information + rho) * log(sqrt((information + rho) / rho) / (2 * error) + 1))
    return Difference(estimate, mine.rate - theirs.rate + boundary / information)


def _users(counts: LapseCounts) -> float:
    """So many users with equally many answers would tell as much (Kish 1965)."""
    return counts.answers**2 / counts.answers_squared if counts.answers else 0.0


def _with(counts: LapseCounts, answers: int, lapses: int) -> LapseCounts:
    """The counts with one more user."""
    return LapseCounts(
        counts.users + 1,
        counts.answers + answers,
        counts.lapses + lapses,
        counts.answers_squared + answers**2,
        counts.lapses_squared + lapses**2,
        counts.product + answers * lapses,
        max(counts.most, lapses),
    )
