"""What people would prefer on average, candidate or production, from a judge's choices on all rows and people's on some of them.

Prediction-powered inference (Angelopoulos et al. 2023; PPI++, 2024): the mean of the judge's choices, plus the mean distance of people's
choices from them on rows drawn at random. It assumes nothing of the judge, which may favour one of the two models. The usual intervals are
asymptotic, and cover too seldom with few labels or rare disagreement. Here each of the two means has Gaffke's distribution (see
`mean_bounds`), which is Clopper and Pearson's for yes and no, and the two are melded (Fay, Proschan and Brittain 2015):
`bench/intervals.py` has the coverage. The draws are the same each time.
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


@dataclass(frozen=True)
class Judged:
    """Choices from -1 (production's answer) to 1 (the candidate's): of the judge on rows that people did not label, and of both on those
    that they did, which are drawn at random from the same ones. On the rows with the `same` answer twice both are 0.
    """

    rows: tuple[float, ...]
    labelled: tuple[tuple[float, float], ...]  # (judge, people)
    same: int = 0
    weight: float = 1.0  # of the judge's choices; fixed without these labels

    @property
    def differing(self) -> int:
        """Rows on which the two answers differ."""
        return len(self.rows) + len(self.labelled)

    @property
    def n(self) -> int:
        """All rows that the estimate is about."""
        return self.differing + self.same

    @property
    def value(self) -> float:
        """The estimate, 0 without rows."""
        if not self.n:
            return 0.0
        weight = self.weight if self.rows else 0.0
        return self.differing / self.n * (weight * _mean(self.rows) + _mean(self._apart(weight)))

    def _apart(self, weight: float) -> Floats:
        """How far people's choices are from the judge's, by its weight."""
        judge, people = (np.array([each[place] for each in self.labelled]) for place in (0, 1))
        found: Floats = people - weight * judge
        return found


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

    def sized(self, number: float) -> "_Sample":
        """As many rows as this, of which each value has its share."""
        return replace(self, counts=self.counts * number / self.counts.sum()) if number else self

    def draws(self, rng: np.random.Generator, number: int, upper: bool) -> Floats:
        """Draws of Gaffke's distribution of the mean: as if one more row were at the lower, or the upper, end."""
        weights = rng.standard_gamma(np.append(self.counts, 1.0), size=(number, len(self.counts) + 1))
        found: Floats = weights @ np.append(self.values, self.ends[upper]) / weights.sum(axis=1)
        return found


@lru_cache(256)
def judged_bounds(judged: Judged, limit: float, confidence: float) -> JudgedBounds:
    """Bounds of people's mean choice, each at `confidence`, and p-values against `limit`."""
    number = min(max(_DRAWS, int(_BEYOND / (1 - confidence))), _MOST_DRAWS)
    low, high = (_distribution(judged, len(judged.labelled), judged.n, number, upper) for upper in (False, True))
    return JudgedBounds(
        value=judged.value,
        lower=max(-1.0, min(float(np.quantile(low, 1 - confidence, method="lower")), judged.value)),
        upper=min(1.0, max(float(np.quantile(high, confidence, method="higher")), judged.value)),
        p_above=(1 + int((low <= limit).sum())) / (number + 1),
        p_below=(1 + int((high >= limit).sum())) / (number + 1),
    )


@lru_cache(256)
def labels_to_halve(judged: Judged, confidence: float) -> int | None:
    """Labels, these included, with which the bounds would be half as far apart; None if that takes more rows, too.

    Labels and rows stay distributed as they are.
    """
    return _halving(lambda labels: _width(judged, labels, judged.n, confidence), len(judged.labelled), judged.differing)


@lru_cache(256)
def rows_to_halve(judged: Judged, confidence: float) -> int | None:
    """Rows, these included, with which the bounds would be half as far apart if people label the same share of them; None if too many."""
    share = len(judged.labelled) / judged.n if judged.n else 0.0
    return _halving(lambda rows: _width(judged, share * rows, rows, confidence), judged.n, ROWS_LIMIT)


def _halving(width: Callable[[float], float], now: int, most: int) -> int | None:
    if not now or width(most) > (half := width(now) / 2):
        return None
    low, high = float(now), float(most)
    while high / low > 1.02:
        middle = (low * high) ** 0.5
        low, high = (low, middle) if width(middle) <= half else (middle, high)
    return int(np.ceil(high))


@lru_cache(256)
def labels_to_decide(judged: Judged, limit: float, confidence: float, first: int | None = None) -> int | None:
    """Labels, from `first` or more than there are on, with which a bound would clear, or miss, the limit in 80 % of cases if labels stay
    distributed as they are; None if more rows are needed, too."""
    first = len(judged.labelled) + 1 if first is None else first
    if first > judged.differing or not _decides(judged, judged.differing, judged.n, limit, confidence):
        return None
    return smallest(lambda labels: _decides(judged, min(labels, judged.differing), judged.n, limit, confidence), first, figures=50)


@lru_cache(256)
def rows_to_decide(judged: Judged, limit: float, confidence: float) -> int | None:
    """Rows, more than there are, with which that is so if people label all whose answers differ; None above `ROWS_LIMIT`."""
    if not judged.n:
        return None
    share = judged.differing / judged.n

    def enough(rows: int) -> bool:
        return _decides(judged, share * rows, rows, limit, confidence)

    return smallest(enough, judged.n + 1, figures=50) if enough(ROWS_LIMIT) else None


def _decides(judged: Judged, labels: float, rows: float, limit: float, confidence: float) -> bool:
    """Whether so many labels and rows give a verdict in 80 % of cases."""
    from scipy.stats import norm

    upper = judged.value < limit
    if judged.value == limit:
        return False
    draws = _distribution(judged, labels, rows, _PLANNED, upper)
    bound = float(np.quantile(draws, confidence if upper else 1 - confidence))
    unlucky = float(norm.ppf(POWER) * draws.std())
    return bound + unlucky < limit if upper else bound - unlucky > limit


def as_on_other_pairs(choices: Sequence[float], others: Sequence[tuple[float, float]], labels: int, same: int) -> Judged:
    """What so many labels are expected to say on rows with these choices of the judge, if people follow it as on `others`: for planning.

    `others` are pairs (judge, people) that call the preferred answer 1, as `LabelledChoice` does. Where the judge calls a tie, people
    prefer either answer alike.
    """
    sure = [people for judge, people in others if judge] or [1.0]
    tied = [sign * people for judge, people in others if not judge for sign in (1, -1)] or [0.0]
    pairs: list[tuple[float, float]] = []
    for sign in (-1, 0, 1):
        here = [choice for choice in choices if np.sign(choice) == sign]
        pairs += zip(here, [(sign or 1) * people for people in _spread(sure if sign else tied, len(here))], strict=True)
    return Judged((), tuple(pairs), same=same, weight=weight_of(others, labels, len(choices) - labels))


def _spread(values: Sequence[float], number: int) -> list[float]:
    """So many of the values, each about as often as it occurs."""
    ordered = sorted(values)
    return [ordered[int((place + 0.5) * len(ordered) / number)] for place in range(number)]


def weight_of(others: Sequence[tuple[float, float]], labels: int, unlabelled: int) -> float:
    """Weight of the judge's choices that gives the narrowest interval if people follow them as on `others`: pairs (judge, people) besides
    the labels (PPI++, 2024, equation 6). A judge without such pairs has the weight of one that is right.
    """
    judge, people = (np.array([each[place] for each in others]) for place in (0, 1))
    slope = float(judge @ people / (judge @ judge)) if np.any(judge) else 1.0
    return min(1.0, max(0.0, slope)) / (1 + labels / unlabelled) if unlabelled else 0.0


def _distribution(judged: Judged, labels: float, rows: float, number: int, upper: bool) -> Floats:
    """Draws of the distribution whose quantile is a bound, with so many labels and rows in all, distributed as these are."""
    rng = np.random.default_rng(0)
    share = judged.differing / judged.n if judged.n else 0.0
    left = round(share * rows - labels, 6)  # 0 where all are labelled
    weight, unlabelled = judged.weight if left else 0.0, judged.rows or [judge for judge, _ in judged.labelled]
    found = _Sample.of(judged._apart(weight), 1 + weight).sized(labels).draws(rng, number, upper)
    if weight:
        found = found + weight * _Sample.of(unlabelled, 1.0).sized(left).draws(rng, number, upper)
    differ = _Sample(np.array([0.0, 1.0]), rows * np.array([1 - share, share]), (0.0, 1.0))
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
