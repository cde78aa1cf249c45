"""The tests and intervals, against brute force, hand computation and simulation."""

from math import comb, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from ftassets.domain.statistics import (
    Pairs,
    holm,
    mcnemar_p,
    mcnemar_p_values,
    p95_ratio,
    p95_ratio_upper_bound,
    p95_upper_bound,
    paired_lower_bound,
    paired_lower_bounds,
    paired_mean_lower_bound,
    paired_mean_p,
    share_lower_bound,
    wilson_interval,
)

Z95 = 1.6448536269514722

counts = st.integers(0, 60)


def test_pairs_count_who_alone_was_right() -> None:
    pairs = Pairs.of([True, True, False, False, True], [True, False, True, False, False])
    assert (pairs.only_candidate, pairs.only_production, pairs.n) == (2, 1, 5)
    assert pairs.difference == pytest.approx(0.2)


def test_pairs_refuse_lists_of_different_length() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Pairs.of([True, False], [True])


def test_no_rows_are_no_difference() -> None:
    assert Pairs(0, 0, 0).difference == 0.0
    assert mcnemar_p(Pairs(0, 0, 0)) == 1.0


@settings(deadline=None)
@given(counts, counts)
def test_exact_mcnemar_is_the_binomial_tail(wins: int, losses: int) -> None:
    total = wins + losses
    tail = sum(comb(total, k) for k in range(wins, total + 1)) / 2**total
    assert mcnemar_p(Pairs(wins, losses, total + 7)) == pytest.approx(tail, rel=1e-9)


@settings(deadline=None)
@given(counts, counts, st.integers(0, 500))
def test_mcnemar_looks_at_discordant_rows_only(wins: int, losses: int, others: int) -> None:
    assert mcnemar_p(Pairs(wins, losses, wins + losses)) == mcnemar_p(Pairs(wins, losses, wins + losses + others))


def test_many_p_values_at_once_are_those_of_scipys_test_to_the_bit() -> None:
    wins, losses = np.arange(1, 41)[:, None], np.arange(41)[None, :]
    single = [[binomtest(w, w + x, 0.5, "greater").pvalue for x in range(41)] for w in range(1, 41)]
    assert np.array_equal(mcnemar_p_values(wins, losses), single)


@settings(deadline=None)
@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=20), st.integers(0, 500), st.sampled_from([0.8, 0.95, 0.99]))
def test_many_bounds_at_once_are_the_single_ones(pairs: list[tuple[int, int]], others: int, confidence: float) -> None:
    n = 120 + others
    wins, losses = np.array(pairs).T
    single = [paired_lower_bound(Pairs(w, x, n), confidence) for w, x in pairs]
    assert paired_lower_bounds(wins, losses, n, confidence) == pytest.approx(single, abs=1e-14)


def test_agresti_min_by_hand() -> None:
    # 12 wins, 5 losses, 100 rows: (12.5 - 5.5) / 102, variance (18 - 49 / 102) / 102**2
    expected = 7 / 102 - Z95 * sqrt(18 - 49 / 102) / 102
    assert paired_lower_bound(Pairs(12, 5, 100), 0.95) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=80), st.sampled_from([0.8, 0.95, 0.99]))
def test_mean_bound_of_right_and_wrong_is_agresti_min(differences: list[int], confidence: float) -> None:
    pairs = Pairs(differences.count(1), differences.count(-1), len(differences))
    assert paired_mean_lower_bound(differences, confidence) == pytest.approx(paired_lower_bound(pairs, confidence), abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60))
def test_mean_bound_lies_below_the_mean_and_falls_with_confidence(differences: list[float]) -> None:
    low, lower = paired_mean_lower_bound(differences, 0.9), paired_mean_lower_bound(differences, 0.99)
    assert lower < low < max(sum(differences) / len(differences), 0.0)  # below 0, the two added rows draw it upwards


def test_few_equal_rows_are_no_certainty() -> None:
    assert paired_mean_lower_bound([0.0] * 10, 0.95) < -0.1
    assert paired_mean_lower_bound([0.0] * 10_000, 0.95) > -0.001


def test_mean_bound_covers_graded_differences() -> None:
    rng = np.random.default_rng(3)
    values, shares = [-1, -0.5, 0, 0.5, 1], [0.05, 0.15, 0.675, 0.075, 0.05]
    mean = float(np.dot(values, shares))
    wrong = sum(paired_mean_lower_bound(rng.choice(values, 200, p=shares), 0.95) > mean for _ in range(1000))
    assert 0.02 < wrong / 1000 < 0.075


def test_p95_ratio_is_one_for_the_same_times() -> None:
    times = list(range(1, 101))
    assert p95_ratio(times, times) == 1.0
    assert p95_ratio_upper_bound(times, times, 0.95, draws=200) == 1.0


def test_p95_bound_lies_above_the_ratio_and_repeats() -> None:
    rng = np.random.default_rng(0)
    production, candidate = rng.lognormal(3, 0.3, 60), rng.lognormal(3.1, 0.3, 60)
    bound = p95_ratio_upper_bound(candidate, production, 0.95)
    assert bound > p95_ratio(candidate, production)
    assert bound == p95_ratio_upper_bound(candidate, production, 0.95)


# Newcombe (1998), Statistics in Medicine 17:857, table I, method 3
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_as_published(successes: int, n: int, low: float, high: float) -> None:
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_without_rows_knows_nothing() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=60), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_p_value_says_what_the_bound_says(differences: list[float], confidence: float) -> None:
    p, bound = paired_mean_p(differences), paired_mean_lower_bound(differences, confidence)
    assert (p < 1 - confidence) == (bound > 0) or abs(bound) < 1e-12


def test_holm_by_hand() -> None:
    # sorted .01, .02, .03, .04: times 4, 3, 2, 1, never falling
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_exact_share_bound_solves_the_binomial_tail() -> None:
    # 19 of 20: the share at which 19 or more successes have a chance of 5 %
    low = share_lower_bound(19, 20, 0.95)
    assert 20 * low**19 * (1 - low) + low**20 == pytest.approx(0.05)
    assert share_lower_bound(0, 20, 0.95) == share_lower_bound(0, 0, 0.95) == 0.0


def test_p95_bound_is_the_order_statistic_above_the_percentile() -> None:
    times = [float(i) for i in range(150, 0, -1)]
    # the k-th smallest exceeds the percentile unless k or more of 150 lie below it
    below = [sum(comb(150, i) * 0.95**i * 0.05 ** (150 - i) for i in range(k)) for k in range(151)]
    assert p95_upper_bound(times, 0.95) == next(k for k in range(151) if below[k] >= 0.95)
    assert p95_upper_bound(times[:58], 0.95) is None
    assert p95_upper_bound([1.0] * 59, 0.95) == 1.0
    assert p95_upper_bound([], 0.95) is None
