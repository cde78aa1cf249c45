"""What people would prefer on average, candidate or production, from a judge's choices on all rows and people's on some.

Prediction-powered inference (Angelopoulos et al. 2023; PPI++, 2024): the mean of the judge's choices, plus the mean distance of people's
choices from them. The usual intervals are asymptotic, and cover too seldom with few labels or rare disagreement. Here each of the two
means has Gaffke's distribution (see `mean_bounds`), which is Clopper and Pearson's for yes and no, and the two are melded (Fay, Proschan
and Brittain 2015): `bench/intervals.py` has the coverage. The draws are the same each time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ftassets.domain.mean_bounds import Floats
from ftassets.domain.power import POWER, ROWS_LIMIT, smallest

_DRAWS = 20_000  # of a bound at 95 %: its level is right within 0.003
_BEYOND = 400  # draws beyond a bound at a higher confidence
_MOST_DRAWS = 400_000
_PLANNED = 4_000  # of a plan
_MOST = 10_000.0  # times as many labels: more than anybody writes


@dataclass(frozen=True)
class Judged:
    """Choices from -1 (production's answer) to 1 (the candidate's): of the judge on rows that people did not label, and of both on those
    that they did. On the rows with the `same` answer twice both are 0.

    `own`: whether the labels are on rows drawn at random from the same ones. Else they are on other pairs of answers, in which the place
    of an answer means nothing; then people are taken to agree with the judge's preferences as often as on those pairs.
    """

    rows: tuple[float, ...]
    labelled: tuple[tuple[float, float], ...]  # (judge, people)
    own: bool
    same: int = 0
    weight: float = 1.0  # of the judge's choices, if `own`; fixed without these labels

    @property
    def n(self) -> int:
        """All rows that the estimate is about."""
        return len(self.rows) + self.same + (len(self.labelled) if self.own else 0)

    @property
    def value(self) -> float:
        """The estimate, 0 without rows."""
        judge, people = (np.array([each[place] for each in self.labelled]) for place in (0, 1))
        if not self.n:
            return 0.0
        differing = 1 - self.same / self.n
        if self.own:
            weight = self.weight if self.rows else 0.0
            return differing * (weight * _mean(self.rows) + _mean(people - weight * judge))
        return differing * _mean(np.sign(self.rows)) * _mean((people * np.sign(judge))[judge != 0])


@dataclass(frozen=True)
class JudgedBounds:
    """The estimate with its one-sided bounds, and the p-values of "above" and "below" the limit."""

    value: float
    lower: float
    upper: float
    p_above: float
    p_below: float

    @property
    def width(self) -> float:
        """Distance of the bounds."""
        return self.upper - self.lower


@dataclass(frozen=True)
class _Sample:
    """Distinct values with known ends and how often each occurs."""

    values: Floats
    counts: Floats
    ends: tuple[float, float]

    @classmethod
    def of(cls, values: Floats | Sequence[float], end: float) -> "_Sample":
        distinct, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
        return cls(distinct, counts.astype(float), (-end, end))

    def times(self, factor: float) -> "_Sample":
        return replace(self, counts=self.counts * factor)

    def draws(self, rng: np.random.Generator, number: int, upper: bool) -> Floats:
        """Draws of Gaffke's distribution of the mean: as if one more row were at the lower, or the upper, end."""
        weights = rng.standard_gamma(np.append(self.counts, 1.0), size=(number, len(self.counts) + 1))
        found: Floats = weights @ np.append(self.values, self.ends[upper]) / weights.sum(axis=1)
        return found


@lru_cache(256)
def judged_bounds(judged: Judged, limit: float, confidence: float) -> JudgedBounds:
    """Bounds of people's mean choice, each at `confidence`, and p-values against `limit`."""
    number = min(max(_DRAWS, int(_BEYOND / (1 - confidence))), _MOST_DRAWS)
    low, high = (_distribution(judged, 1.0, 1.0, number, upper) for upper in (False, True))
    return JudgedBounds(
        value=judged.value,
        lower=min(float(np.quantile(low, 1 - confidence, method="lower")), judged.value),
        upper=max(float(np.quantile(high, confidence, method="higher")), judged.value),
        p_above=(1 + int((low <= limit).sum())) / (number + 1),
        p_below=(1 + int((high >= limit).sum())) / (number + 1),
    )


@lru_cache(256)
def labels_to_halve(judged: Judged, confidence: float) -> int | None:
    """Labels, these included, with which the bounds would be half as far apart; None if that takes more rows, too.

    Labels and rows stay distributed as they are.
    """
    labels = len(judged.labelled)
    most = (labels + len(judged.rows)) / labels if judged.own else _MOST
    return _halving(lambda factor: _width(judged, factor, 1.0, confidence), most, labels)


@lru_cache(256)
def rows_to_halve(judged: Judged, confidence: float) -> int | None:
    """Judged rows, these included, with which the bounds would be half as far apart; None if that takes more labels, too."""
    return _halving(lambda factor: _width(judged, 1.0, factor, confidence), _MOST, judged.n)


def _halving(width: Callable[[float], float], most: float, now: int) -> int | None:
    half = width(1.0) / 2
    if width(most) > half:
        return None
    low, high = 1.0, most
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if width(middle) <= half else (middle, high)
    return int(np.ceil(now * high))


@lru_cache(256)
def rows_to_decide(judged: Judged, limit: float, confidence: float) -> int | None:
    """Judged rows with which a bound would clear, or miss, the limit in 80 % of cases if the estimate is the truth and labels stay
    as they are; None if no number of rows would."""
    from scipy.stats import norm

    upper = judged.value < limit
    if judged.value == limit or not judged.n:
        return None

    def enough(number: int) -> bool:
        draws = _distribution(judged, 1.0, number / judged.n, _PLANNED, upper)
        bound = float(np.quantile(draws, confidence if upper else 1 - confidence))
        unlucky = float(norm.ppf(POWER) * draws.std())
        return bound + unlucky < limit if upper else bound - unlucky > limit

    return smallest(enough, judged.n + 1, figures=50) if enough(ROWS_LIMIT) else None


def weight_of(others: Sequence[tuple[float, float]], labels: int, unlabelled: int) -> float:
    """Weight of the judge's choices that gives the narrowest interval if people follow them as on `others`: pairs (judge, people) that
    are none of the labels (PPI++, 2024, equation 6). A judge of which no other choice is known has the weight of one that is right.
    """
    judge, people = (np.array([each[place] for each in others]) for place in (0, 1))
    slope = float(judge @ people / (judge @ judge)) if np.any(judge) else 1.0
    return min(1.0, max(0.0, slope)) / (1 + labels / unlabelled) if unlabelled else 0.0


def _distribution(judged: Judged, labels: float, rows: float, number: int, upper: bool) -> Floats:
    """Draws of the distribution whose quantile is a bound, with `labels` and `rows` times as many of each."""
    rng = np.random.default_rng(0)
    judge, people = (np.array([each[place] for each in judged.labelled]) for place in (0, 1))
    if not judged.own:
        signs = np.append(np.sign(judged.rows), np.zeros(judged.same))
        chosen = _Sample.of(signs, 1.0).times(rows).draws(rng, number, upper)
        return _times(chosen, _Sample.of((people * np.sign(judge))[judge != 0], 1.0).times(labels), rng, upper)
    total = len(judged.rows) + len(judged.labelled)
    weight = judged.weight if judged.rows else 0.0
    found = _Sample.of(people - weight * judge, 1 + weight).times(labels).draws(rng, number, upper)
    if weight:
        left = max(rows * total - labels * len(judged.labelled), 0.0) / len(judged.rows)
        found = found + weight * _Sample.of(judged.rows, 1.0).times(left).draws(rng, number, upper)
    differ = _Sample(np.array([0.0, 1.0]), rows * np.array([judged.same, total], dtype=float), (0.0, 1.0))
    return _times(found, differ, rng, upper)


def _times(draws: Floats, share: _Sample, rng: np.random.Generator, upper: bool) -> Floats:
    """Draws times those of a share: of the end that leads to the side of the bound."""
    low, high = (share.draws(rng, len(draws), side) for side in (False, True))
    found: Floats = draws * np.where(draws < 0 if upper else draws > 0, low, high)
    return found


def _width(judged: Judged, labels: float, rows: float, confidence: float) -> float:
    low, high = (_distribution(judged, labels, rows, _PLANNED, upper) for upper in (False, True))
    return float(np.quantile(high, confidence) - np.quantile(low, 1 - confidence))


def _mean(values: Floats | Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
