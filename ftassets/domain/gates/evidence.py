"""What rows say of a mean that must be above a limit: its bounds, the verdict, and with how many rows there would be one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ftassets.domain.gates.result import Verdict, verdict_of
from ftassets.domain.mean_bounds import mean_lower_bound, mean_p_value, mean_upper_bound
from ftassets.domain.power import POWER, pairs_power, resampled_power, rough_rows, smallest
from ftassets.domain.statistics import Pairs

Ends = tuple[float, float]


@dataclass(frozen=True)
class Evidence:
    """A mean with its one-sided lower and upper bound, each at the gate's confidence.

    The p-value is of "above the limit", `p_below` of "below the limit".

    `rows_needed`: rows with which the verdict would be PASS or FAIL in 80 % of cases if the estimate were the truth; None when there
    are too many, or when there is a verdict.
    """

    value: float
    lower: float
    upper: float
    p_value: float
    p_below: float
    verdict: Verdict
    rows_needed: int | None = None


def mean_evidence(values: Sequence[float], ends: Ends, limit: float, confidence: float) -> Evidence:
    """The evidence of values between `ends`: Gaffke's bounds (see `mean_bounds`)."""
    found = tested(values, ends, limit, confidence)
    if found.verdict is not Verdict.NOT_ENOUGH_DATA or found.value == limit:
        return found
    upwards = found.value > limit
    sample, bar, end = (values, limit, ends[0]) if upwards else ([-value for value in values], -limit, -ends[1])
    alpha, first = 1 - confidence, len(values) + 1
    near = rough_rows(sample, bar, end, alpha, first)
    needed = near and smallest(lambda n: resampled_power(sample, n, bar, end, alpha) >= POWER, first, figures=40, near=near)
    return replace(found, rows_needed=needed)


@lru_cache(4096)
def pairs_evidence(pairs: Pairs, limit: float, confidence: float) -> Evidence:
    """The evidence of paired right and wrong on the difference of the shares: the same bounds, rows needed by exact sums."""
    found = tested(differences(pairs), (-1.0, 1.0), limit, confidence)
    if found.verdict is not Verdict.NOT_ENOUGH_DATA or found.value == limit:
        return found
    upwards = found.value > limit
    seen, bar = (pairs, limit) if upwards else (Pairs(pairs.only_production, pairs.only_candidate, pairs.n), -limit)
    better, worse = seen.only_candidate / seen.n, seen.only_production / seen.n
    alpha, first = 1 - confidence, pairs.n + 1
    near = rough_rows(differences(seen), bar, -1.0, alpha, first)
    needed = near and smallest(lambda n: pairs_power(n, better, worse, bar, alpha) >= POWER, first, figures=40, near=near)
    return replace(found, rows_needed=needed)


def differences(pairs: Pairs) -> list[float]:
    """1 for a row that only the candidate got right, -1 for one that only production did, 0 for the others."""
    same = pairs.n - pairs.only_candidate - pairs.only_production
    return [1.0] * pairs.only_candidate + [-1.0] * pairs.only_production + [0.0] * same


def tested(values: Sequence[float], ends: Ends, limit: float, confidence: float) -> Evidence:
    """The evidence without the rows needed, which take longest."""
    low, high = ends
    p, below = mean_p_value(values, limit, low), mean_p_value([-value for value in values], -limit, -high)
    return Evidence(
        value=float(np.mean(values)),
        lower=mean_lower_bound(values, confidence, low),
        upper=mean_upper_bound(values, confidence, high),
        p_value=p,
        p_below=below,
        verdict=verdict_of(p < 1 - confidence, below < 1 - confidence),
    )
