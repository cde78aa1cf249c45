import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.drift import Reference, blocks
from ftassets.domain.drift.novelty import (
    NOVELTY,
    PRIOR,
    Scale,
    Usual,
    at_usual_mix,
    leave_one_out_distances,
    nearest_distances,
    novelty_scores,
    surprise,
    usual,
)
from ftassets_tests.domain.drift.topics import EVEN, queries

HAND = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])


def test_leave_one_out_distances_by_hand() -> None:
    assert leave_one_out_distances(HAND) == pytest.approx([0.2, 0.2, 0.4])


def test_nearest_distances_by_hand() -> None:
    assert nearest_distances(np.array([[0.6, 0.8], [-1.0, 0.0]]), HAND) == pytest.approx([0.04, 1.0])


def test_copies_are_at_no_distance_from_each_other() -> None:
    assert leave_one_out_distances(np.repeat(HAND, 2, axis=0)) == pytest.approx(0, abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = queries(300, EVEN, seed=1)
    whole = nearest_distances(vectors[:70], vectors[70:]), leave_one_out_distances(vectors)
    monkeypatch.setattr(blocks, "BLOCK_FLOATS", 4000)
    assert nearest_distances(vectors[:70], vectors[70:]) == pytest.approx(whole[0], abs=1e-6)
    assert leave_one_out_distances(vectors) == pytest.approx(whole[1], abs=1e-6)


def test_scores_are_what_the_references_own_mix_would_show() -> None:
    """One cluster always far, one always near: a window of the far one only is no news."""
    rng = np.random.default_rng(0)
    clusters = np.repeat([0, 1], [300, 700])
    distances = np.where(clusters == 0, 0.6, 0.2) + 0.05 * rng.normal(size=1000)
    known = usual(distances, clusters, k=3)
    assert known.limit == pytest.approx(np.quantile(distances, 0.95))
    assert known.overall == pytest.approx([distances.mean(), 0.05, 1.0], rel=0.02)
    for window in (clusters == 0, clusters == 1, clusters >= 0):
        assert novelty_scores(known, distances[window], clusters[window]).mean(axis=0) == pytest.approx(known.overall, abs=0.02)
    moved = novelty_scores(known, distances + 0.1, clusters).mean(axis=0)
    assert moved[0] == pytest.approx(known.overall[0] + 0.1, abs=0.01)
    assert moved[1] > 0.2


@given(st.lists(st.floats(0, 2), min_size=1, max_size=60), st.floats(0, 2))
def test_surprise_is_the_logarithm_of_the_share_of_known_distances_at_least_as_large(known: list[float], distance: float) -> None:
    scale = Scale(np.sort(known), 1.0)
    larger = sum(each >= distance for each in known)
    assert surprise(np.array(distance), scale) == pytest.approx(-math.log((larger + 1) / (len(known) + 1)))


def test_surprise_of_known_queries_is_that_of_an_exponential_distribution() -> None:
    """Fisher: minus the logarithm of a p-value has mean 1 and variance 1, whatever the distances are distributed like."""
    rng = np.random.default_rng(0)
    for draw in (rng.normal, rng.exponential, rng.beta):
        parts = (2.0, 5.0) if draw == rng.beta else ()
        seen = surprise(draw(*parts, size=20_000), Scale(np.sort(draw(*parts, size=20_000)), 0.0))
        assert (seen.mean(), seen.var()) == pytest.approx((1.0, 1.0), abs=0.05)


def test_a_cluster_without_rows_expects_what_the_whole_does() -> None:
    known = usual(np.array([0.1, 0.3]), np.array([0, 0]), k=2)
    assert known.by_cluster[1] == pytest.approx(known.overall)
    alone = usual(np.array([0.1, 0.3, 0.8]), np.array([0, 0, 1]), k=2)
    assert alone.by_cluster[1, 0] == pytest.approx((0.8 + PRIOR * 0.4) / (1 + PRIOR))


def test_scores_of_several_windows_at_once() -> None:
    known = usual(np.array([0.1, 0.2, 0.3]), np.array([0, 0, 1]), k=2)
    distances, clusters = np.array([[0.1, 0.5], [0.2, 0.2]]), np.array([[0, 1], [1, 0]])
    assert novelty_scores(known, distances, clusters).shape == (2, 2, len(NOVELTY))
    assert novelty_scores(known, distances, clusters)[1] == pytest.approx(novelty_scores(known, distances[1], clusters[1]))


def test_a_window_of_topics_that_the_reference_has_few_of_deviates_no_more_than_one_of_its_own_mix() -> None:
    """Means of clusters are known by as many queries as the reference has of them: their error is in every window of those topics."""
    rng, rows = np.random.default_rng(0), np.array([900, 60, 40])
    variances = np.full((3, 1), 0.04)
    known = Usual(Scale(np.zeros(1), 0.0), np.zeros(1), np.zeros((3, 1)), variances, rows)

    def deviations(counts: np.ndarray) -> np.ndarray:
        errors = rng.normal(size=(20_000, 3)) * np.sqrt(variances[:, 0] / rows)
        means = errors @ (counts / counts.sum()) + rng.normal(size=20_000) * np.sqrt(0.04 / counts.sum())
        return at_usual_mix(known, means[:, None], np.tile(counts, (20_000, 1)))[:, 0]

    usual_mix, weekend = deviations(np.array([270, 18, 12])), deviations(np.array([30, 150, 120]))
    assert usual_mix.std() == pytest.approx(np.sqrt(0.04 * (1 / 300 + 1 / 1000)), rel=0.02)
    assert weekend.std() == pytest.approx(usual_mix.std(), rel=0.02)


def test_a_window_of_the_usual_mix_is_left_as_it_is(reference: Reference) -> None:
    counts = reference.usual.rows // 5
    means = reference.usual.overall + 0.1
    assert at_usual_mix(reference.usual, means, counts) == pytest.approx(means, rel=0.01)
    assert at_usual_mix(reference.usual, reference.usual.overall, counts) == pytest.approx(reference.usual.overall)
