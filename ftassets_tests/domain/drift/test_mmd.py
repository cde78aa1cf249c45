import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist

from ftassets.domain.drift.mmd import FREQUENCIES, fourier_features, median_distance, mmd
from ftassets_tests.domain.drift.topics import EVEN, NEW, queries

FIRST, SECOND = queries(150, EVEN, 1), queries(100, NEW, 2)


def test_features_approximate_the_kernel() -> None:
    features = fourier_features(FIRST, 1.2, seed=3)
    assert features.shape == (150, 2 * FREQUENCIES)
    kernel = np.exp(-(cdist(FIRST, FIRST) ** 2) / (2 * 1.2**2))
    assert np.abs(features @ features.T - kernel).max() < 5 / np.sqrt(FREQUENCIES)


def test_distance_is_near_the_exact_one() -> None:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-(cdist(a, b) ** 2) / 2).mean())

    exact = np.sqrt(kernel(FIRST, FIRST) + kernel(SECOND, SECOND) - 2 * kernel(FIRST, SECOND))
    means = (fourier_features(vectors, 1.0, seed=0).mean(axis=0) for vectors in (FIRST, SECOND))
    assert mmd(*means) == pytest.approx(exact, rel=0.1)


def test_features_follow_their_seed() -> None:
    assert np.array_equal(fourier_features(FIRST, 1.0, 1), fourier_features(FIRST, 1.0, 1))
    assert not np.array_equal(fourier_features(FIRST, 1.0, 1), fourier_features(FIRST, 1.0, 2))


def test_median_distance() -> None:
    assert median_distance(FIRST) == pytest.approx(np.median(pdist(FIRST)), rel=1e-4)
    assert median_distance(np.repeat(FIRST[:1], 5, axis=0)) > 0
