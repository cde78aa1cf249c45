"""Shares and means with the interval that belongs to their sample."""

import numpy as np
import pytest

from ftassets.domain.monitoring.estimate import mean_of, share_of


def test_the_interval_of_a_share_is_the_exact_one() -> None:
    estimate = share_of(8, 10)
    assert (estimate.value, round(estimate.low, 4), round(estimate.high, 4)) == (0.8, 0.4439, 0.9748)  # Clopper and Pearson
    assert (share_of(0, 0).low, share_of(0, 0).high) == (0.0, 1.0)


def test_the_mean_of_a_whole_population_is_certain_and_ten_equal_scores_of_many_are_not() -> None:
    assert mean_of([0.5, 1.0], 2).low == mean_of([0.5, 1.0], 2).high == 0.75
    estimate = mean_of([1.0] * 10, 1000)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low < 0.9


@pytest.mark.parametrize(("values", "population"), [([], 0), ([], 5), ([0.1, 0.2], 1)])
def test_no_sample_or_one_larger_than_its_population_is_refused(values: list[float], population: int) -> None:
    with pytest.raises(ValueError, match="sample of"):
        mean_of(values, population)


@pytest.mark.parametrize("weights", [(0.02, 0.03, 0.1, 0.25, 0.6), (0.5, 0, 0, 0, 0.5), (0.0, 0.0, 0.02, 0.03, 0.95)])
@pytest.mark.parametrize("population", [60, 2000])
def test_the_interval_covers_the_population_s_mean_as_often_as_it_says(weights: tuple[float, ...], population: int) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        scores = rng.choice([0, 0.25, 0.5, 0.75, 1], population, p=weights)
        estimate = mean_of([float(s) for s in rng.choice(scores, 40, replace=False)], population)
        covered += estimate.low - 1e-9 <= scores.mean() <= estimate.high + 1e-9
    assert covered / 400 >= 0.945 - 0.02  # two standard errors
