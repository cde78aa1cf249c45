"""Gaffke's bounds against exact tests, random draws, and exact error rates."""

from itertools import product
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from ftassets.domain.mean_bounds import mean_lower_bound, mean_p_value, mean_upper_bound, pair_p_values, weighted_p_values
from ftassets.domain.power import pairs_power


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_for_right_and_wrong_it_is_the_bound_of_clopper_and_pearson(right: int, wrong: int, confidence: float) -> None:
    values = [1.0] * right + [0.0] * wrong
    low = beta.ppf(1 - confidence, right, wrong + 1) if right else 0.0
    high = beta.ppf(confidence, right + 1, wrong) if wrong else 1.0
    assert mean_lower_bound(values, confidence) == pytest.approx(low, abs=1e-7)
    assert mean_upper_bound(values, confidence) == pytest.approx(high, abs=1e-7)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 500))
def test_for_pairs_against_no_difference_it_is_the_exact_mcnemar_test(wins: int, losses: int, others: int) -> None:
    total = wins + losses
    tail = sum(comb(total, k) for k in range(wins, total + 1)) / 2**total
    assert pair_p_values(wins, losses, total + others, 0.0) == pytest.approx(tail, rel=1e-9)
    if total + others:
        values = [1.0] * wins + [-1.0] * losses + [0.0] * others
        assert mean_p_value(values, 0.0, -1.0) == pytest.approx(tail, abs=1e-7)


@pytest.mark.parametrize("limit", [-0.05, 0.02])
def test_it_is_the_quantile_of_randomly_weighted_means(limit: float) -> None:
    rng = np.random.default_rng(0)
    values = rng.beta(2, 3, 25) - 0.4
    drawn = rng.dirichlet([1.0] * 26, 400_000) @ np.append(values, -1.0)
    assert mean_p_value(values.tolist(), limit, -1.0) == pytest.approx(np.mean(drawn <= limit), abs=0.003)
    assert mean_lower_bound(values.tolist(), 0.95, -1.0) == pytest.approx(np.quantile(drawn, 0.05), abs=0.003)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40), st.floats(-0.99, 0.99), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_p_value_says_what_the_bound_says(values: list[float], limit: float, confidence: float) -> None:
    p, bound = mean_p_value(values, limit, -1.0), mean_lower_bound(values, confidence, -1.0)
    assert (p < 1 - confidence) == (bound > limit) or abs(bound - limit) < 1e-6
    assert -1 <= bound <= np.mean(values) + 1e-9
    assert mean_upper_bound([-value for value in values], confidence, 1.0) == -bound


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), st.floats(0, 1))
def test_better_values_never_have_a_lower_bound(values: list[float], more: float) -> None:
    better = [min(1.0, value + more) for value in values]
    assert mean_lower_bound(better, 0.95) >= mean_lower_bound(values, 0.95) - 1e-6


def test_nothing_is_known_without_rows() -> None:
    assert (mean_lower_bound([], 0.95), mean_upper_bound([], 0.95), mean_p_value([], 0.5)) == (0.0, 1.0, pytest.approx(1.0))


@pytest.mark.parametrize("n", [10, 31, 100, 163])
@pytest.mark.parametrize("margin", [0.01, 0.02, 0.05, 0.2])
def test_pairs_worse_by_the_margin_pass_no_more_often_than_stated(n: int, margin: float) -> None:
    # summed over every outcome, for production right on every row to many rows that differ both ways
    for wins in (0.0, 0.001, 0.01, 0.05, 0.2, (1 - margin) / 2):
        assert pairs_power(n, wins, wins + margin, -margin, 0.05) <= 0.05


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=4, unique=True),
    st.lists(st.floats(0.001, 1), min_size=4, max_size=4),
    st.integers(1, 7),
    st.sampled_from([0.05, 0.2]),
)
def test_whatever_the_distribution_a_mean_at_the_limit_is_called_above_it_no_more_often_than_stated(
    values: list[float], weights: list[float], n: int, alpha: float
) -> None:
    # summed over every sample of n rows
    shares = np.array(weights[: len(values)]) / sum(weights[: len(values)])
    samples = np.array([each for each in product(range(n + 1), repeat=len(values)) if sum(each) == n])
    chances = [factorial(n) * np.prod([share**k / factorial(k) for share, k in zip(shares, each, strict=True)]) for each in samples]
    called = weighted_p_values(np.array(values), samples, float(np.dot(values, shares)), 0.0) < alpha
    assert np.dot(chances, called) <= alpha + 1e-9


@pytest.mark.parametrize("n", [10, 30, 100])
@pytest.mark.parametrize(
    ("values", "shares"),
    [
        ([0.0, 1.0], [0.02, 0.98]),  # a rare loss
        ([0.0, 0.9, 1.0], [0.02, 0.48, 0.5]),
        ([0.0, 0.25, 0.5, 1.0], [0.01, 0.02, 0.03, 0.94]),  # field accuracy
        ([0.0, 1.0], [0.98, 0.02]),  # a rare gain
    ],
)
def test_a_mean_at_the_limit_is_above_it_no_more_often_than_stated(n: int, values: list[float], shares: list[float]) -> None:
    rng = np.random.default_rng(1)
    limit = float(np.dot(values, shares))
    passed = sum(mean_p_value(rng.choice(values, n, p=shares).tolist(), limit) < 0.05 for _ in range(500))
    assert passed / 500 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 500)


@pytest.mark.parametrize("limit", [0.1, 0.02, 0.002, 0.0005])
@pytest.mark.parametrize("level", [0.05, 1e-3, 1e-4, 1e-6])
def test_small_levels_of_many_rows_of_which_none_differs_are_right(limit: float, level: float) -> None:
    """The p-value of n rows without a difference against a margin is (1 - margin)^n, which the one row that is added decides."""
    n = max(1, round(np.log(level) / np.log1p(-limit)))
    of_many = pair_p_values([0, n // 2, 0], [0, 0, n // 2], n, -limit)  # beside others, so that not all samples are of two values
    assert of_many[0] == pytest.approx((1 - limit) ** n, rel=0.03)
    assert mean_p_value([0.0] * n, -limit, -1.0) == pytest.approx((1 - limit) ** n, rel=1e-9)


def test_values_that_do_not_occur_change_nothing() -> None:
    values, counts = np.array([-1.0, -2 / 3, 1 / 3, 2 / 3]), np.array([[26, 0, 75, 0]])
    with np.errstate(all="raise"):
        found = weighted_p_values(values, counts, 0.0, -1.0)
    assert found == pytest.approx(weighted_p_values(values[[0, 2]], counts[:, [0, 2]], 0.0, -1.0), rel=1e-9)
