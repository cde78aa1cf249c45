import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.drift import Reference
from ftassets.domain.drift.calibration import (
    JITTER,
    Null,
    calibrated_sizes,
    draws_needed,
    harmless_windows,
    mix_draws,
    mix_spread,
    novelty_draws,
    null_of,
)
from ftassets.domain.drift.concentration import CONCENTRATION, concentration, nearest_similarities
from ftassets.domain.drift.mix import centroid_distance
from ftassets.domain.drift.mmd import fourier_features
from ftassets.domain.drift.novelty import NOVELTY, Scale, Usual, novelty_scores
from ftassets.domain.drift.occupancy import assign
from ftassets_tests.domain.drift.topics import EVEN, queries


def drawn(reference: Reference, n: int, draws: int, seed: int = 3) -> np.ndarray:
    scores = novelty_scores(reference.usual, reference.distances, reference.clusters)
    spread = mix_spread(reference.usual, reference.clusters)
    return novelty_draws(scores, reference.clusters, spread, n, draws, np.random.default_rng(seed))


def test_draws_are_deterministic_and_follow_their_seed(reference: Reference) -> None:
    first, again, other = (drawn(reference, 100, 200, seed) for seed in (3, 3, 4))
    assert first.shape == (200, len(NOVELTY))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_distribution_narrows_with_the_window(reference: Reference) -> None:
    small, large = (drawn(reference, n, 300).std(axis=0) for n in (50, 1000))
    assert (large < small).all()


def test_harmless_windows_vary_the_mix_around_the_references_own() -> None:
    clusters = np.repeat([0, 1, 2], [600, 300, 100])
    for jitter, spread in ((5.0, np.sqrt(0.24 / 16)), (None, np.sqrt(0.24 / 1000))):  # Dirichlet(15 * share) has variance p(1-p)/16
        rows = np.concatenate(list(harmless_windows(clusters, 1000, 2000, np.random.default_rng(0), jitter)))
        assert rows.shape == (2000, 1000)
        first = (clusters[rows] == 0).mean(axis=1)
        assert first.mean() == pytest.approx(0.6, abs=0.01)
        assert first.std() == pytest.approx(spread, rel=0.15)


def test_every_row_of_a_cluster_is_drawn_alike() -> None:
    clusters = np.array([1, 0, 1, 0, 1])
    rows = np.concatenate(list(harmless_windows(clusters, 100, 500, np.random.default_rng(0), None))).ravel()
    assert np.bincount(rows) / len(rows) == pytest.approx(np.full(5, 0.2), abs=0.01)


def test_thresholds_between_sizes_are_those_of_the_size_itself(reference: Reference) -> None:
    for n in (70, 300, 700):
        exact = np.quantile(drawn(reference, n, 20_000), 0.99, axis=0)
        stored = [reference.nulls[name].threshold(n, 0.01) for name in NOVELTY]
        assert (stored[0], stored[2]) == pytest.approx((exact[0], exact[2]), rel=0.01)
        assert stored[1] == pytest.approx(exact[1], abs=1.5 / n)  # shares are multiples of 1/n


def test_a_window_beyond_the_largest_size_is_judged_by_it(reference: Reference) -> None:
    null = reference.nulls["mmd"]
    assert null.threshold(50_000, 0.01) == null.threshold(1000, 0.01)
    assert null.threshold(400, 0.01) > null.threshold(500, 0.01)


@given(st.integers(10, 2000), st.lists(st.floats(-5, 5), min_size=2, max_size=10))
def test_p_values_fall_as_values_rise(n: int, values: list[float]) -> None:
    rng = np.random.default_rng(0)
    null = null_of([rng.normal(size=500) / np.sqrt(size) for size in (10, 100)], [10, 100])
    p = [null.p_value(n, value) for value in sorted(values)]
    assert p == sorted(p, reverse=True)
    assert all(1 / 500 <= each <= 1 for each in p)


def test_p_value_counts_ties_as_harmless() -> None:
    null = null_of([np.repeat([0.0, 0.1, 0.2], [900, 90, 10])], [50])
    assert null.p_value(50, 0.2) == pytest.approx(0.01, rel=0.15)
    assert null.p_value(50, 0.1) == pytest.approx(0.1, rel=0.15)
    assert null.p_value(50, 0.0) == 1.0
    assert null.p_value(50, 0.3) == pytest.approx(0.001)


def test_threshold_is_exceeded_at_its_rate() -> None:
    values = np.random.default_rng(1).normal(size=20_000)
    null = null_of([values], [100])
    for rate in (0.001, 0.01, 0.05):
        assert (values > null.threshold(100, rate)).mean() == pytest.approx(rate, rel=0.1)


def test_mean_type_statistics_know_the_references_own_sampling_error(reference: Reference) -> None:
    """Without change of mix, the calibrated distribution is that of fresh windows, not narrower."""
    features = fourier_features(reference.vectors, reference.bandwidth, reference.seed)
    drawn, whole = (reference.vectors, features, reference.clusters), reference.summary
    calibrated = mix_draws(*drawn, reference.count, whole, 200, 500, np.random.default_rng(0), jitter=None)["centroid_cosine"]
    rng = np.random.default_rng(1)
    fresh = []
    for _ in range(500):  # halves of the reference: a window that the other half has not seen
        order = rng.permutation(2000)
        window, rest = reference.vectors[order[:200]].mean(axis=0), reference.vectors[order[200:]].mean(axis=0)
        fresh.append(float(centroid_distance(window, rest)))
    assert np.median(calibrated) == pytest.approx(np.median(fresh), rel=0.25)
    assert np.median(calibrated) >= 0.97 * np.median(fresh)


def test_the_spread_of_harmless_mixes_is_that_of_drawn_ones() -> None:
    means, clusters = np.array([0.1, 0.5, 0.9]), np.repeat([0, 1, 2], [500, 300, 200])
    known = Usual(Scale(np.zeros(1), 0.0), np.array([means @ [0.5, 0.3, 0.2]]), means[:, None], np.ones((3, 1)), np.array([50, 30, 20]))
    drawn = np.random.default_rng(0).dirichlet(JITTER * 3 * np.array([0.5, 0.3, 0.2]), 100_000) @ means
    assert mix_spread(known, clusters) == pytest.approx([drawn.std()], rel=0.02)


def test_the_concentration_of_fresh_windows_stays_below_its_threshold(reference: Reference) -> None:
    """Exceeded by windows that the reference has not seen as seldom as by those drawn from it."""
    for n in (50, 200):
        found = []
        for seed in range(400):
            window = queries(n, EVEN, seed + 3000)
            known, clusters = nearest_similarities(window, reference.vectors), assign(window, reference.centres)
            found.append(concentration(window, known, clusters, reference.occupancy).value)
        assert np.mean(np.array(found) > reference.nulls[CONCENTRATION].threshold(n, 0.05)) <= 0.08


def test_sizes_leave_enough_to_compare_with() -> None:
    assert calibrated_sizes(2000) == [10, 20, 50, 100, 200, 500, 1000]
    assert calibrated_sizes(150) == [10, 20, 50]
    assert calibrated_sizes(19) == []


def test_a_fine_rate_takes_many_draws() -> None:
    assert (draws_needed(0.05), draws_needed(0.002), draws_needed(1e-9)) == (4000, 10_000, 200_000)


def test_null_of_one_size_serves_all() -> None:
    null = Null(np.array([50]), np.array([0.1, 1.0]), np.array([[2.0, 1.0]]))
    assert (null.threshold(20, 0.1), null.threshold(500, 0.1)) == (2.0, 2.0)
