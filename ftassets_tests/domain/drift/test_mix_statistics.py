"""The tables of drift statistics: for each name one function, which window, draws, thresholds and reports follow."""

import numpy as np
import pytest

from ftassets.domain.drift import Reference, compare
from ftassets.domain.drift.calibration import mix_draws, novelty_draws
from ftassets.domain.drift.comparison import ALARMS, novelty_thresholds
from ftassets.domain.drift.mix_statistics import MIX, Summary
from ftassets.domain.drift.mmd import fourier_features
from ftassets.domain.drift.novelty import NOVELTY, novelty_scores
from ftassets.domain.drift.text import DISTRIBUTIONS, SHARES, text_statistics
from ftassets_tests.domain.drift.topics import EVEN, queries


def summary(reference: Reference, rows: np.ndarray) -> Summary:
    vectors = reference.vectors[rows].astype(np.float64)
    features = fourier_features(reference.vectors[rows], reference.bandwidth, reference.seed)
    counts = np.bincount(reference.clusters[rows], minlength=len(reference.centres))
    return Summary(vectors.mean(axis=0), features.mean(axis=0, dtype=np.float64), counts)


@pytest.mark.parametrize("name", MIX)
def test_a_statistic_is_the_same_of_one_window_and_of_many(reference: Reference, name: str) -> None:
    rng = np.random.default_rng(0)
    windows = [summary(reference, rng.integers(0, 2000, 50)) for _ in range(4)]
    many = Summary(*(np.stack([getattr(each, part) for each in windows]) for part in ("mean", "features", "counts")))
    alone = [float(MIX[name](each, reference.summary.without(2000, each, 50))) for each in windows]
    assert MIX[name](many, reference.summary.without(2000, many, 50)) == pytest.approx(alone)
    assert len(set(alone)) == 4


def test_what_is_left_is_the_rest_of_the_rows(reference: Reference) -> None:
    order = np.random.default_rng(2).permutation(2000)
    left = reference.summary.without(2000, summary(reference, order[:300]), 300)
    rest = summary(reference, order[300:])
    for part in ("mean", "features", "counts"):
        assert getattr(left, part) == pytest.approx(getattr(rest, part), abs=1e-6)


def test_every_name_has_draws_a_distribution_and_a_place_in_the_comparison(reference: Reference) -> None:
    features = fourier_features(reference.vectors, reference.bandwidth, reference.seed)
    drawn = mix_draws(reference.vectors, features, reference.clusters, reference.count, reference.summary, 50, 7, np.random.default_rng(0))
    assert drawn.keys() == MIX.keys()
    assert {values.shape for values in drawn.values()} == {(7,)}
    found = compare(reference, queries(200, EVEN, seed=4), 0.01, 100)
    assert [each.name for each in found.statistics] == list(ALARMS)
    assert [each.name for each in found.informing] == [*MIX, "energy"]
    assert reference.nulls.keys() == {*ALARMS, *MIX, "energy"}


def test_every_name_of_novelty_is_a_column_of_the_scores(reference: Reference) -> None:
    scores = novelty_scores(reference.usual, reference.distances, reference.clusters)
    assert scores.shape == (2000, len(NOVELTY))
    assert novelty_draws(scores, reference.clusters, np.zeros(len(NOVELTY)), 50, 7, np.random.default_rng(0)).shape == (7, len(NOVELTY))
    assert len(novelty_thresholds(reference, 100, 0.01)) == len(NOVELTY)
    for column, score in enumerate(NOVELTY.values()):
        # standardised to the reference's own mix, its own mean is what it is without standardising
        assert scores[:, column].mean() == pytest.approx(score(reference.distances, reference.usual.scale).mean(), rel=0.02)


def test_every_statistic_of_texts_is_reported() -> None:
    known = ["turn on the light in the kitchen please", "dim the lamp in the hall a little now"] * 20
    assert [each.name for each in text_statistics(known, known)] == [*DISTRIBUTIONS, *SHARES]
