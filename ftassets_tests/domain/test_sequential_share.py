"""A share decided before the sample is whole: exact errors over all paths, and what it costs against one look."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ftassets.domain.sequential_share import decided_after, fewest_good, more_good, sequential_bounds
from ftassets.domain.statistics import share_lower_bound


def ever(most: int, limit: float, true: float, confidence: float = 0.95) -> float:
    """Chance that a share above `limit` is ever proved, walking through all paths; written without the module's recursion over tails."""
    first, going, proved = fewest_good(most, limit, confidence), {0: 1.0}, 0.0
    for seen in range(most):
        following: dict[int, float] = {}
        for good, chance in going.items():
            for step, part in ((1, true), (0, 1 - true)):
                following[good + step] = following.get(good + step, 0.0) + chance * part
        proved += sum(chance for good, chance in following.items() if good >= first[seen])
        going = {good: chance for good, chance in following.items() if good < first[seen]}
    return proved


@pytest.mark.parametrize(("most", "limit"), list(product((10, 29, 60, 100, 300), (0.3, 0.5, 0.8, 0.9, 0.95, 0.99))))
def test_a_share_at_the_limit_is_proved_above_it_no_more_often_than_stated_however_often_people_look(most: int, limit: float) -> None:
    assert ever(most, limit, limit) <= 0.05 + 1e-12
    assert ever(most, limit, limit - 0.05) <= ever(most, limit, limit) + 1e-12


def test_looking_all_the_time_costs_little_and_good_samples_end_early() -> None:
    whole = share_lower_bound(59, 60, 0.95)
    assert whole > 0.9 > share_lower_bound(58, 60, 0.95)
    assert decided_after([False] + [True] * 59, 60, 0.9, 0.95) == 52
    assert decided_after([True] * 60, 60, 0.9, 0.95) == 36
    assert decided_after([False] * 2 + [True] * 58, 60, 0.9, 0.95) is None
    assert decided_after([True] * 28, 28, 0.9, 0.95) is None
    assert decided_after([True] * 29, 29, 0.9, 0.95) == 29  # one look needs as many
    fixed = float(binom.sf(binom.isf(0.05, 200, 0.9), 200, 0.96))
    assert ever(200, 0.9, 0.96) >= fixed - 0.05


def test_what_would_decide_does() -> None:
    assert more_good([True] * 24, 60, 0.9, 0.95) == 12
    assert more_good([True] * 36, 60, 0.9, 0.95) == 0
    assert more_good([False] * 2, 60, 0.9, 0.95) is None
    with pytest.raises(ValueError, match="3 answers are more than the sample of 2"):
        decided_after([True] * 3, 2, 0.9, 0.95)


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0.5, 0.8, 0.9]))
def test_more_good_ones_are_the_fewest_that_decide(seen: list[bool], limit: float) -> None:
    found = more_good(seen, 40, limit, 0.95)
    if found is None:
        assert decided_after([*seen, *[True] * (40 - len(seen))], 40, limit, 0.95) is None
    else:
        assert decided_after([*seen, *[True] * found], 40, limit, 0.95) is not None
        if found:
            assert decided_after([*seen, *[True] * (found - 1)], 40, limit, 0.95) is None


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_bounds_close_in_and_agree_with_the_decision(seen: list[bool]) -> None:
    low, high = sequential_bounds(seen, 60, 0.95)
    before, _ = sequential_bounds(seen[:-1], 60, 0.95)
    assert before <= low
    for limit in (0.5, 0.9):
        if decided_after(seen, 60, limit, 0.95) is None:
            assert low <= limit + 0.001
        else:
            assert low >= limit - 0.001


def test_sixty_good_of_sixty_exclude_more_than_4_9_percent_bad() -> None:
    low, high = sequential_bounds([True] * 60, 60, 0.95)
    assert low == pytest.approx(share_lower_bound(60, 60, 0.95), abs=0.001)
    assert high == 1


@pytest.mark.parametrize("true", [0.05, 0.5, 0.9, 0.98])
def test_both_bounds_hold_at_all_times_in_as_many_samples_as_stated(true: float) -> None:
    rng = np.random.default_rng(0)
    seen = rng.random((2000, 40)) < true
    over = np.cumsum(seen, axis=1)
    missed = 0.0
    for good in (over >= fewest_good(40, true, 0.95)).any(axis=1), (np.arange(1, 41) - over >= fewest_good(40, 1 - true, 0.95)).any(axis=1):
        assert good.mean() <= 0.05 + 3 * (0.05 * 0.95 / 2000) ** 0.5
        missed = max(missed, float(good.mean()))
    ends = [sequential_bounds(list(map(bool, each)), 40, 0.95) for each in seen[:150]]
    assert np.mean([low > true for low, _ in ends]) <= missed + 0.05
    assert np.mean([high < true for _, high in ends]) <= missed + 0.05
