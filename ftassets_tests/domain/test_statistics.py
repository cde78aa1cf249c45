"""The tests and intervals, against brute force, hand computation and simulation."""

from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.statistics import (
    Pairs,
    holm,
    mcnemar_p,
    p95_lower_bound,
    p95_ratio,
    p95_ratio_ranks,
    p95_ratio_upper_bound,
    p95_upper_bound,
    share_interval,
    share_lower_bound,
    share_upper_bound,
)

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


def test_p95_ratio_is_one_for_the_same_times() -> None:
    times = list(range(1, 101))
    assert p95_ratio(times, times) == 1.0
    bound = p95_ratio_upper_bound(times, times, 0.95)
    assert bound == 99 / 90


def tail(n: int, least: int, chance: float) -> float:
    """P(at least so many of n)."""
    return sum(comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(least, n + 1))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 400), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_ranks_of_the_ratio_risk_no_more_than_the_bound_may_fail(n: int, confidence: float) -> None:
    ranks = p95_ratio_ranks(n, confidence)
    if ranks is None:
        assert 0.95**n > (1 - confidence) / 2, "the largest time would have been a bound with half of the risk"
        return
    upper, lower = ranks
    # the upper one fails if that many times are below the percentile, the lower one if too few are
    assert tail(n, upper, 0.95) + 1 - tail(n, lower, 0.95) <= 1 - confidence + 1e-9


def test_a_ratio_of_too_few_times_or_of_none_has_no_bound() -> None:
    assert p95_ratio_upper_bound([1.0] * 58, [1.0] * 58, 0.95) is None
    assert p95_ratio_upper_bound([1.0] * 100, [0.0] * 100, 0.95) is None


def test_the_lower_bound_of_a_percentile_mirrors_the_upper_one() -> None:
    times = [float(i) for i in range(1, 151)]
    rank = next(k for k in range(150, 0, -1) if tail(150, k, 0.95) >= 0.95)
    assert p95_lower_bound(times, 0.95) == rank
    assert p95_lower_bound([], 0.95) is None


# Newcombe (1998), Statistics in Medicine 17:857, table I, method 5
@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)],
)
def test_the_interval_of_a_share_is_the_published_one(successes: int, n: int, low: float, high: float) -> None:
    assert share_interval(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_an_interval_without_rows_knows_nothing() -> None:
    assert share_interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("n", [10, 60, 200])
def test_the_interval_of_a_share_covers_it_as_often_as_it_says(n: int) -> None:
    intervals = [share_interval(right, n) for right in range(n + 1)]
    for true in (0.001, 0.02, 0.1, 0.5, 0.97, 0.999):
        covered = sum(
            comb(n, right) * true**right * (1 - true) ** (n - right) for right, (low, high) in enumerate(intervals) if low <= true <= high
        )
        assert covered >= 0.95


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
    assert share_upper_bound(1, 20, 0.95) == pytest.approx(1 - low)
    assert share_upper_bound(0, 0, 0.95) == 1.0


def test_p95_bound_is_the_order_statistic_above_the_percentile() -> None:
    times = [float(i) for i in range(150, 0, -1)]
    # the k-th smallest exceeds the percentile unless k or more of 150 lie below it
    below = [sum(comb(150, i) * 0.95**i * 0.05 ** (150 - i) for i in range(k)) for k in range(151)]
    assert p95_upper_bound(times, 0.95) == next(k for k in range(151) if below[k] >= 0.95)
    assert p95_upper_bound(times[:58], 0.95) is None
    assert p95_upper_bound([1.0] * 59, 0.95) == 1.0
    assert p95_upper_bound([], 0.95) is None
