"""Novelty of queries on synthetic topics: clusters of unit vectors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from ftassets.domain.drift import DriftVerdict, Reference, alarm_rate, build_reference, compare, null_distribution

DIMENSIONS, KNOWN, ALL = 32, 20, 40
RATE = 0.01


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


CENTRES = unit(np.random.default_rng(100).normal(size=(ALL, DIMENSIONS)))


def queries(n: int, weights: np.ndarray, seed: int) -> np.ndarray:
    """n queries about topics drawn with these weights."""
    rng = np.random.default_rng(seed)
    topics = rng.choice(len(weights), size=n, p=weights / weights.sum())
    return unit(CENTRES[topics] + 0.15 * rng.normal(size=(n, DIMENSIONS)))


EVEN = np.ones(KNOWN)


@pytest.fixture(scope="module")
def reference() -> Reference:
    return build_reference(queries(2000, EVEN, seed=1))


def verdict(reference: Reference, window: np.ndarray) -> DriftVerdict:
    return compare(reference, window, RATE, smallest=50).verdict


def test_quiet_on_more_of_the_same(reference: Reference) -> None:
    alarms = [verdict(reference, queries(200, EVEN, seed)) is DriftVerdict.ALARM for seed in range(10, 30)]
    assert sum(alarms) <= 2


def test_quiet_when_only_the_mix_changes(reference: Reference) -> None:
    mixes = [np.where(np.arange(KNOWN) % 4 == part, 3.0, 1.0) for part in range(4)] + [np.linspace(0.2, 2.0, KNOWN)]
    alarms = [verdict(reference, queries(200, mix, seed)) is DriftVerdict.ALARM for mix in mixes for seed in range(3)]
    assert sum(alarms) <= 2


@pytest.mark.parametrize("n", [50, 200])
def test_alarm_when_half_the_queries_are_new(reference: Reference, n: int) -> None:
    for seed in range(5):
        result = compare(reference, queries(n, np.ones(ALL), seed), RATE, smallest=50)
        assert result.verdict is DriftVerdict.ALARM
        assert "is above" in result.reason
        assert [s.name for s in result.statistics if s.alarm] == ["novelty_mean", "novelty_share"]
        assert all(s.p_value == 0 for s in result.statistics)


def test_distances_tell_which_queries_are_new(reference: Reference) -> None:
    old, new = queries(60, EVEN, seed=3), queries(40, np.where(np.arange(ALL) < KNOWN, 0.0, 1.0), seed=4)
    result = compare(reference, np.concatenate([old, new]), RATE, smallest=50)
    assert result.distances.shape == (100,)
    assert set(np.argsort(-result.distances)[:40]) == set(range(60, 100))


def test_too_few_queries_are_not_enough_data(reference: Reference) -> None:
    new = np.where(np.arange(ALL) < KNOWN, 0.0, 1.0)
    result = compare(reference, queries(49, new, seed=1), RATE, smallest=50)
    assert result.verdict is DriftVerdict.NOT_ENOUGH_DATA
    assert result.reason == "49 queries in the window, 50 are needed"
    assert (result.statistics, len(result.distances), result.mix_shift) == ((), 0, None)


def test_a_comparison_can_be_repeated(reference: Reference) -> None:
    window = queries(100, EVEN, seed=9)
    first, second = (compare(reference, window, RATE, smallest=50, seed=5) for _ in range(2))
    assert first.statistics == second.statistics
    assert first.reason == second.reason


def test_mix_shift_informs(reference: Reference) -> None:
    same = compare(reference, queries(400, EVEN, 2), RATE, smallest=50).mix_shift
    tilted = compare(reference, queries(400, np.where(np.arange(KNOWN) < 5, 5.0, 1.0), 2), RATE, smallest=50).mix_shift
    assert same is not None
    assert tilted is not None
    assert tilted > 2 * same >= 0


def test_null_distribution_is_deterministic_and_follows_its_seed(reference: Reference) -> None:
    first, again, other = (null_distribution(reference, 100, 200, seed) for seed in (3, 3, 4))
    assert first.shape == (200, 2)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_null_distribution_narrows_with_the_window(reference: Reference) -> None:
    small, large = (null_distribution(reference, n, 300).std(axis=0) for n in (50, 1000))
    assert (large < small).all()


def test_reference_knows_its_own_spread(reference: Reference) -> None:
    assert reference.distances.shape == reference.clusters.shape == (2000,)
    assert (reference.distances > 0).all()
    assert (reference.distances > reference.q95).mean() == pytest.approx(0.05, abs=0.001)
    assert len(np.unique(reference.clusters)) > 20


def test_leave_one_out_distances_by_hand() -> None:
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    assert build_reference(vectors).distances == pytest.approx([0.2, 0.2, 0.4])


def test_alarm_rate_of_one_a_quarter() -> None:
    assert alarm_rate(1, 91) == pytest.approx(0.0039, abs=5e-5)


@settings(deadline=None)
@given(st.integers(0, 20), st.floats(1, 5000))
def test_budget_is_overspent_with_the_stated_risk(false_alarms: int, reports: float) -> None:
    rate = alarm_rate(false_alarms, reports)
    assert 0 < rate <= 0.05
    risk = poisson.sf(false_alarms, rate * reports)
    assert risk <= 0.05 + 1e-9
    if rate < 0.05:
        assert risk == pytest.approx(0.05, abs=1e-6)
