"""Concentration against scikit-learn's neighbours, and on windows it must and must not see."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from ftassets.domain.drift import DriftVerdict, Reference, build_reference, compare
from ftassets.domain.drift import blocks as blocks_module
from ftassets.domain.drift.concentration import (
    CONCENTRATION,
    CROWDED,
    GROWN,
    LARGEST,
    NEIGHBOURS,
    SCORES,
    Concentration,
    _counted,
    concentration,
    concentration_of_draws,
    nearest_rows,
    nearest_similarities,
)
from ftassets.domain.drift.occupancy import assign
from ftassets_tests.domain.drift.topics import DIMENSIONS, EVEN, KNOWN, queries, unit


def of(reference: Reference, window: np.ndarray) -> Concentration:
    known, clusters = nearest_similarities(window, reference.vectors), assign(window, reference.centres)
    return concentration(window, known, clusters, reference.occupancy)


def near_topic(n: int, seed: int) -> np.ndarray:
    """n queries about a topic between two known ones."""
    rng = np.random.default_rng(seed)
    centre = queries(1, np.eye(KNOWN)[3], 1) + queries(1, np.eye(KNOWN)[4], 1)
    return unit(centre / np.linalg.norm(centre) + 0.08 * rng.normal(size=(n, DIMENSIONS)))


@settings(deadline=None, max_examples=30)
@given(st.integers(10, 80), st.integers(20, 200), st.integers(0, 1000))
def test_counts_are_those_of_a_neighbour_search(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    window, reference = (unit(rng.normal(size=(rows, 6))) for rows in (n, m))
    found = NearestNeighbors(n_neighbors=NEIGHBOURS + 1, algorithm="brute", metric="cosine").fit(np.concatenate([reference, window]))
    nearest = found.kneighbors(window, return_distance=False)
    others = [row[row != m + place][:NEIGHBOURS] for place, row in enumerate(nearest)]
    counts = np.array([(row >= m).sum() for row in others])
    # one cluster that is all of the reference: no query is too many
    result = concentration(window, nearest_similarities(window, reference), np.zeros(n, dtype=int), np.array([m]))
    assert result.value == pytest.approx(SCORES[counts].mean())
    assert np.array_equal(result.crowded, counts >= CROWDED)


def test_draws_count_the_neighbours_that_were_drawn() -> None:
    rng = np.random.default_rng(0)
    vectors = unit(rng.normal(size=(60, 5)))
    neighbours, windows = nearest_rows(vectors), rng.integers(0, 60, size=(4, 20))
    similarity = vectors @ vectors.T - 3 * np.eye(60)
    for drawn, window in zip(concentration_of_draws(neighbours, windows), windows, strict=True):
        counts = [np.isin(np.argsort(-similarity[row])[:NEIGHBOURS], window).sum() for row in window]
        assert drawn == pytest.approx(np.mean([(count / NEIGHBOURS) ** 6 for count in counts]))


def test_neighbours_do_not_depend_on_blocks_and_a_tiny_set_has_some(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(300, DIMENSIONS)))
    whole, similar = nearest_rows(vectors), nearest_similarities(vectors[:40], vectors[40:])
    monkeypatch.setattr(blocks_module, "BLOCK_FLOATS", 4000)
    assert np.array_equal(np.sort(nearest_rows(vectors), axis=1), np.sort(whole, axis=1))
    assert nearest_similarities(vectors[:40], vectors[40:]) == pytest.approx(similar, abs=1e-6)
    assert nearest_rows(vectors[:2]).tolist() == [[1] * NEIGHBOURS, [0] * NEIGHBOURS]
    assert nearest_similarities(vectors[:0], vectors).shape == (0, NEIGHBOURS)


def test_a_small_topic_near_known_ones_is_found_and_named_by_its_queries(reference: Reference) -> None:
    window = np.concatenate([queries(380, EVEN, 7), near_topic(20, 8)])
    result = compare(reference, window, 0.01, smallest=50)
    found = next(s for s in result.statistics if s.name == CONCENTRATION)
    assert (result.verdict, found.alarm) == (DriftVerdict.ALARM, True)
    assert "in groups that the reference hardly has" in result.is_new
    assert result.crowded[380:].mean() > 0.9
    assert result.crowded[:380].mean() < 0.02
    assert found.value == pytest.approx(0.05, abs=0.02)  # about its share


def test_a_known_topic_that_is_all_of_a_window_is_not_concentrated(reference: Reference) -> None:
    for topic in range(0, KNOWN, 4):
        window = queries(300, np.eye(KNOWN)[topic], seed=topic)
        assert of(reference, window).value < reference.nulls[CONCENTRATION].threshold(300, 0.0025) + 0.005


def test_one_text_sent_many_times_is_one_query(reference: Reference) -> None:
    once, often = near_topic(1, 3), np.repeat(near_topic(1, 3), 60, axis=0)
    usual = queries(240, EVEN, 9)
    alone, repeated = of(reference, np.concatenate([usual, once])), of(reference, np.concatenate([usual, often]))
    assert not repeated.crowded[240:].any()
    assert repeated.value == pytest.approx(alone.value * 241 / 300)


def test_a_large_window_is_compared_by_a_sample_of_it(reference: Reference) -> None:
    window = np.concatenate([queries(2400, EVEN, 5), near_topic(600, 6)])
    window = window[np.random.default_rng(0).permutation(len(window))]
    result = of(reference, window)
    assert result.crowded.shape == (3000,)
    assert result.crowded.sum() <= LARGEST
    assert 0.02 < result.value < 0.2


@pytest.mark.parametrize(("m", "n"), [(96, 72), (200, 200), (200, 600)])
def test_a_window_as_large_as_the_reference_raises_no_alarm_on_known_topics(m: int, n: int) -> None:
    """More than half of the reference is no size that it is calibrated on: compared whole, 50 to 99 % of such windows were above."""
    above = 0
    for seed in range(3):
        reference = build_reference(queries(m, EVEN, seed), "e", seed, rate=0.05)
        for number in range(20):
            found = compare(reference, queries(n, EVEN, 100 * seed + number + 50), 0.05, 20)
            above += next(each.above for each in found.statistics if each.name == CONCENTRATION)
    assert above <= 3, "of 60, where 1.25 % are stated"


def test_of_a_grown_cluster_so_many_queries_count() -> None:
    clusters, occupancy = np.repeat([0, 1, 2], [200, 150, 50]), np.array([100, 800, 100])
    counted = _counted(clusters, occupancy)
    assert np.bincount(clusters[counted]).tolist() == [GROWN * 40, 150, 50]
    few = _counted(np.zeros(30, dtype=int), np.array([1, 999]))
    assert few.sum() == 2 * NEIGHBOURS
