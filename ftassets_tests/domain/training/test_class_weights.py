"""The weights are those of scikit-learn."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from ftassets.domain.training.class_weights import balanced


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=50))
def test_classes_count_alike_in_sum_and_rows_one_on_average(classes: list[str]) -> None:
    weights = balanced(classes)
    assert np.allclose(weights, compute_sample_weight("balanced", classes))
    assert np.isclose(np.mean(weights), 1)


def test_no_rows_have_no_weights() -> None:
    assert balanced([]) == []
