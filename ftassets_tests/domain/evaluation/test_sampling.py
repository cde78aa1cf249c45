"""Samples that stay the same when they are drawn again."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.sampling import fixed_sample, reservoir


@given(st.sets(st.text(max_size=8), max_size=40), st.integers(1, 20), st.text(max_size=8))
def test_a_fixed_sample_is_the_same_whatever_the_order_and_a_new_row_moves_out_one_at_most(ids: set[str], size: int, new: str) -> None:
    sample = fixed_sample(ids, size)
    assert len(sample) == min(size, len(ids))
    assert sample == fixed_sample(sorted(ids, reverse=True), size)
    assert len(set(sample) - set(fixed_sample(ids | {new}, size))) <= 1


def test_another_seed_is_another_sample() -> None:
    ids = [str(i) for i in range(100)]
    assert fixed_sample(ids, 10, seed=0) != fixed_sample(ids, 10, seed=1)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20), st.integers(0, 5))
def test_a_reservoir_holds_distinct_places_of_the_stream(items: list[int], size: int, seed: int) -> None:
    sample, seen = reservoir(enumerate(items), size, seed)
    assert seen == len(items)
    assert len(sample) == len(set(sample)) == min(size, len(items))
    assert set(sample) <= set(enumerate(items))
    assert reservoir(enumerate(items), size, seed)[0] == sample


def test_each_place_of_the_stream_is_as_likely() -> None:
    counts = np.zeros(20)
    for seed in range(4000):
        counts[reservoir(range(20), 5, seed)[0]] += 1
    assert np.abs(counts / 4000 - 0.25).max() < 4.5 * math.sqrt(0.25 * 0.75 / 4000)
