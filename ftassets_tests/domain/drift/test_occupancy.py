import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, jensenshannon

from ftassets.domain.drift import blocks
from ftassets.domain.drift.occupancy import assign, fit_centres, jensen_shannon, psi, psi_contributions, shares
from ftassets_tests.domain.drift.topics import EVEN, KNOWN, queries, topics

COUNTS = arrays(np.int64, 8, elements=st.integers(0, 1000))


def test_psi_by_hand() -> None:
    window, reference = np.array([9, 29]), np.array([19, 19])  # smoothed shares 9.5/39 and 29.5/39, one half each
    p, q = np.array([9.5, 29.5]) / 39, 0.5
    assert psi(window, reference) == pytest.approx(((p - q) * np.log(p / q)).sum())


@given(COUNTS, COUNTS)
def test_contributions_are_never_negative_and_add_up(window: np.ndarray, reference: np.ndarray) -> None:
    parts = psi_contributions(window, reference)
    assert (parts >= 0).all()
    assert parts.sum() == pytest.approx(float(psi(window, reference)))
    assert float(psi(window, reference)) == pytest.approx(float(psi(reference, window)))


@given(COUNTS, COUNTS)
def test_jensen_shannon_is_the_usual_one_in_bits(window: np.ndarray, reference: np.ndarray) -> None:
    value = float(jensen_shannon(window, reference))
    assert -1e-12 <= value <= 1
    expected = float(jensenshannon(shares(window), shares(reference), base=2)) ** 2
    assert value == pytest.approx(0.0 if np.isnan(expected) else expected, abs=1e-9)


def test_an_empty_cluster_is_no_infinite_surprise() -> None:
    assert np.isfinite(psi(np.array([0, 100]), np.array([100, 0])))


def test_nearest_centre_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, centres = queries(200, EVEN, 1), queries(7, EVEN, 2)
    monkeypatch.setattr(blocks, "BLOCK_FLOATS", 100)
    assert np.array_equal(assign(vectors, centres), cdist(vectors, centres).argmin(axis=1))


def test_clusters_are_topics() -> None:
    vectors, truth = queries(1500, EVEN, 3), topics(1500, EVEN, 3)
    clusters = assign(vectors, fit_centres(vectors, KNOWN, seed=0))
    pure = sum(np.bincount(truth[clusters == c]).max() for c in np.unique(clusters))
    assert pure / 1500 > 0.8
