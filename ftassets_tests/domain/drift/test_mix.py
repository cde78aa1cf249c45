import numpy as np
import pytest

from ftassets.domain.drift.mix import centroid_distance, pairwise_distance, rest_mean
from ftassets_tests.domain.drift.topics import EVEN, NEW, queries


def test_mean_pairwise_cosine_without_forming_the_pairs() -> None:
    first, second = queries(40, EVEN, 1), queries(50, NEW, 2)
    assert pairwise_distance(first.mean(axis=0), second.mean(axis=0)) == pytest.approx(1 - (first @ second.T).mean(), abs=1e-6)


def test_centroid_distance_is_blind_to_length() -> None:
    means = np.array([[3.0, 0.0], [0.0, 0.2], [-1.0, 0.0]])
    assert centroid_distance(means, np.array([0.5, 0.0])) == pytest.approx([0.0, 1.0, 2.0])


def test_mean_of_the_rest() -> None:
    vectors = queries(60, EVEN, 3)
    windows = np.stack([vectors[:10].mean(axis=0), vectors[50:].mean(axis=0)])
    rest = rest_mean(vectors.mean(axis=0), 60, windows, 10)
    assert rest == pytest.approx(np.stack([vectors[10:].mean(axis=0), vectors[:50].mean(axis=0)]), abs=1e-6)
