"""The weights of classes are those of scikit-learn, those of ratings as KTO wants them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from ftassets.domain.training.class_weights import balanced, rating_weights


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=50))
def test_classes_count_alike_in_sum_and_rows_one_on_average(classes: list[str]) -> None:
    weights = balanced(classes)
    assert np.allclose(weights, compute_sample_weight("balanced", classes))
    assert np.isclose(np.mean(weights), 1)


def test_no_rows_have_no_weights() -> None:
    assert balanced([]) == []


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_ratings_count_alike_in_sum_and_none_more_than_once(up: int, down: int) -> None:
    of_up, of_down = rating_weights(up, down)
    assert np.isclose(of_up * up, of_down * down)
    assert max(of_up, of_down) == 1


def test_ratings_of_one_kind_count_as_they_are() -> None:
    assert rating_weights(0, 3) == rating_weights(3, 0) == (1, 1)
