"""Whether a share that is measured day by day has dropped and stayed down, or is back: one statement that holds at all times at once.

The good ones among a day's units are beta-binomial: binomial around a level of the day, which is spread around the lasting level with a
standard deviation of `DAY_EFFECTS`. Neither the lasting level nor the size of the day effects is known: both are averaged over, weighed by
all days before, so that the baseline is every day up to the change. The statistic is that of Shiryaev (1963) and Roberts (1966): the sum,
over all days at which a drop of one of some sizes may have begun, of the likelihood ratio of that drop against none. Without a drop its
mean after T days is at most T, so that it reaches T / a within T days with probability at most a (Doob's inequality; as an e-detector:
Shin, Ramdas and Rinaldo 2022). Once a drop is proved, the same statistic is asked for the way back: a drop ends when that is proved, not
at the first good day.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

DAY_EFFECTS = {0.02: 0.9, 0.04: 0.08, 0.08: 0.02}  # standard deviation of a day's level, and how probable it is before any data
SHIFTS = (0.5, 0.2, 0.1, 0.1, 0.1)  # how probable each drop is, see `_shifts`
WEEK = 7  # days of baseline, before which no drop begins: quality has a weekly cycle
ONE_DAY = 20.0  # evidence that one day adds at most: a single bad day is no lasting drop
ODD_DAY = 1000.0  # times that a day may speak against a level at most: after one outage the level before is still known
_LEVELS = 72  # of a grid that is even in the arcsine of the square root, where shares have the same spread
_LOWEST = 0.002  # a level cannot drop below it
_LEAST_UNITS = 2.0  # a day's level is no more spread than this many units
_MOST = 1e15
_NEVER = -1e6  # logarithm


@dataclass(frozen=True)
class DayShare:
    """The units (answers, or users that count once a day) measured on one day, and the sum of their values in 0..1."""

    units: float
    good: float


@dataclass(frozen=True)
class Turn:
    """After how many days the level was found to have dropped, or to be back."""

    days: int
    down: bool


def _shifts(smallest: float) -> list[float]:
    """Drops that are looked for: the smallest that matters, twice and four times as much, and two large ones."""
    return [smallest, 2 * smallest, 4 * smallest, 0.4, 0.8]


@lru_cache(8)
def _grid(smallest: float) -> tuple[Floats, Floats, Floats]:
    """Both parameters of the distribution of a day's level (1 + shifts, effects, levels), and prior weights (shifts, effects, levels)."""
    level = np.sin((np.arange(_LEVELS) + 0.5) / _LEVELS * np.pi / 2) ** 2
    levels = np.stack([level, *(np.maximum(level - shift, _LOWEST) for shift in _shifts(smallest))])[:, None, :]
    between = np.array([0.0, *_shifts(smallest)])[:, None, None] / 4  # a dropped level is spread, so that drops of other sizes are found
    spread = np.maximum(np.array(list(DAY_EFFECTS))[None, :, None], between)
    size = np.maximum(levels * (1 - levels) / spread**2 - 1, _LEAST_UNITS)
    prior = np.array(SHIFTS)[:, None, None] * np.array(list(DAY_EFFECTS.values()))[None, :, None] * np.full(_LEVELS, 1 / _LEVELS)
    return levels * size, (1 - levels) * size, prior


def likelihoods(units: ArrayLike, good: ArrayLike, smallest: float) -> Floats:
    """Log-likelihood of days (n,) at every hypothesis, (n, 1 + shifts, effects, levels): at the level, then dropped by each shift.

    Exact for right and wrong; values between have less spread than that, which only makes the statement more careful.
    """
    from scipy.special import betaln

    a, b, _ = _grid(smallest)
    n, k = (np.asarray(each, dtype=float)[:, None, None, None] for each in (units, good))
    found: Floats = betaln(k + a, n - k + b) - betaln(a, b)
    return np.maximum(found, found.max(axis=(1, 2, 3), keepdims=True) - np.log(ODD_DAY))


@dataclass
class Watch:
    """The hypotheses of several series that are followed day by day; `down` (series,) says which of them have dropped.

    `smallest` is the smallest drop that matters (0..1): those below half of it are not found, however long they last.
    """

    smallest: float
    series: int = 1
    down: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        _, _, prior = _grid(self.smallest)
        self.down = np.zeros(self.series, dtype=bool)
        self._logs = np.repeat(np.log(prior)[None], self.series, axis=0)  # weights of the hypotheses without a change
        self._changed = np.full_like(self._logs, -np.inf)  # log of the ratio of a change since some day against none
        self._bounded = np.zeros_like(self._logs)  # the same ratio with `ONE_DAY`, of which evidence is made
        self._before = np.zeros_like(self._logs[:, :1])  # weights of the levels when the drop was proved
        self._days = 0

    def evidence(self, logs: Floats) -> Floats:
        """Take a day's log-likelihoods (series, 1 + shifts, effects, levels); the evidence (series,) for a change since some day."""
        self._days += 1
        level, dropped = logs[:, :1], logs[:, 1:]
        down = self.down[:, None, None, None]
        if self._days > WEEK:
            gained = np.where(down, level - dropped, dropped - level)
            self._changed = np.logaddexp(0, self._changed) + gained
            self._bounded = np.minimum((1 + self._bounded) * np.exp(np.minimum(gained, np.log(ONE_DAY))), _MOST)
        self._logs += np.where(down, dropped, level)
        weights = np.exp(self._logs - self._logs.max(axis=(1, 2, 3), keepdims=True))
        found: Floats = (weights * self._bounded).sum(axis=(1, 2, 3)) / weights.sum(axis=(1, 2, 3))
        return found

    def turn(self, proved: NDArray[np.bool_]) -> None:
        """Take the change of these series (series,) for proved: from now on the way back is looked for.

        A level that is back is the one known when the drop was proved; the next drop may have another size than the last one.
        """
        logs = self._logs[proved] + np.maximum(self._changed[proved], _NEVER)
        back = self.down[proved][:, None, None, None]
        self._before[proved] = np.where(back, self._before[proved], np.logaddexp.reduce(logs, axis=1, keepdims=True))
        self._logs[proved] = np.where(back, self._before[proved] + np.log(np.array(SHIFTS))[:, None, None], logs)
        self._changed[proved], self._bounded[proved] = -np.inf, 0.0
        self.down[proved] ^= True


def limit_of(false_alarms_a_year: float, days_a_year: float = 365.0) -> float:
    """Evidence that proves a drop: a steady level is called dropped in at most this share of years, however often it is computed."""
    return days_a_year / false_alarms_a_year


def turns(days: Sequence[DayShare], smallest: float, limit: float, known: Sequence[Turn] = ()) -> list[Turn]:
    """When the level dropped and came back, over days with data, oldest first.

    `known` turns were reported before. They stand, even where feedback that came later would not have proved them.
    """
    watch, found = Watch(smallest), list(known)
    told = {turn.days for turn in known}
    last = max(told, default=0)
    if not days:
        return found
    logs = likelihoods([day.units for day in days], [day.good for day in days], smallest)
    for number in range(1, len(days) + 1):
        proved = watch.evidence(logs[number - 1 : number])[0] >= limit
        if number in told or (number > last and proved):
            watch.turn(np.array([True]))
            if number > last:
                found.append(Turn(number, bool(watch.down[0])))
    return found
