"""Shares and levels over days with the interval that belongs to them."""

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from ftassets.domain.monitoring.estimate import largest_drop, level, level_bounds, level_variance, share_of
from ftassets.domain.monitoring.lasting_drop import DayShare

DAYS, DAY_SD = 14, 0.02


def days(units: float, good: float, number: int = DAYS) -> list[DayShare]:
    """Days that are alike, with so many good ones in all."""
    return [DayShare(units, good / number)] * number


def test_the_interval_of_a_share_is_the_exact_one() -> None:
    estimate = share_of(8, 10)
    assert (estimate.value, round(estimate.low, 4), round(estimate.high, 4)) == (0.8, 0.4439, 0.9748)  # Clopper and Pearson
    assert (share_of(0, 0).low, share_of(0, 0).high) == (0.0, 1.0)


@pytest.mark.parametrize("units", [1, 2, 5, 30])
@pytest.mark.parametrize("true", [0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99])
def test_the_bounds_of_a_level_hold_for_few_units(units: int, true: float) -> None:
    """Exact sums. A normal interval misses the level in up to 11.4 % at a stated 5 %."""
    good = np.arange(DAYS * units + 1)
    ends = np.array([level_bounds(days(units, float(each)), 0.975) for each in good])
    assert binom.pmf(good, DAYS * units, true)[(true < ends[:, 0]) | (true > ends[:, 1])].sum() <= 0.05


@pytest.mark.parametrize(("units", "true"), [(30, 0.9), (1000, 0.9), (1000, 0.995), (100_000, 0.7)])
def test_the_bounds_of_a_level_have_the_effects_of_days_in_them(units: int, true: float) -> None:
    rng, runs = np.random.default_rng(0), 4000
    levels = np.clip(true + rng.normal(0, DAY_SD, (runs, DAYS)), 0, 1)
    ends = np.array([level_bounds(days(units, float(each)), 0.975) for each in rng.binomial(units, levels).sum(axis=1)])
    for missed in (levels.mean() < ends[:, 0], levels.mean() > ends[:, 1]):
        assert missed.mean() <= binom.isf(0.001, runs, 0.025) / runs


def test_a_days_variance_is_that_of_a_beta_binomial() -> None:
    size = 0.8 * 0.2 / DAY_SD**2 - 1
    of_a_day = betabinom(400, 0.8 * size, 0.2 * size).var() / 400**2
    assert level_variance(days(400, 0.8 * 400 * 30, 30)) == pytest.approx(of_a_day / 30, rel=0.01)


def test_a_day_with_more_units_weighs_more_and_its_effect_too() -> None:
    even, uneven = days(100, 1400 * 0.9), [DayShare(1000, 900), DayShare(400, 360)]
    assert level(even) == level(uneven) == pytest.approx(0.9)
    assert level_variance(uneven) > level_variance(even)
    assert level_bounds(uneven, 0.95)[0] < level_bounds(even, 0.95)[0] < 0.9
    assert level_bounds([DayShare(0.3, 0.1 + 0.2)], 0.95)[1] == 1.0, "0.1 + 0.2 is more than 0.3"


@pytest.mark.parametrize(("units", "then", "now"), [(2, 0.9, 0.85), (5, 0.6, 0.55), (20, 0.99, 0.94), (100, 0.97, 0.92), (1000, 0.9, 0.85)])
def test_a_drop_is_excluded_no_more_often_than_stated_where_there_is_one(units: int, then: float, now: float) -> None:
    rng, runs, missed = np.random.default_rng(1), 1000, 0
    before, after = (
        rng.binomial(units, np.clip(true + rng.normal(0, DAY_SD, (runs, number)), 0, 1)).sum(axis=1)
        for true, number in ((then, 46), (now, DAYS))
    )
    for one, other in zip(before, after, strict=True):
        missed += largest_drop(days(units, float(one), 46), days(units, float(other)), 0.95) < then - now - 1e-9
    assert missed <= binom.isf(0.001, runs, 0.05)
