import io

import numpy as np
import pytest

from ftassets.domain.drift import Reference, build_reference, compare, same_space
from ftassets.domain.drift import reference as module
from ftassets.domain.drift.mmd import fourier_features
from ftassets_tests.domain.drift.topics import EVEN, queries


def test_reference_knows_its_own_spread(reference: Reference) -> None:
    assert reference.distances.shape == reference.clusters.shape == (2000,)
    assert (reference.distances > 0).all()
    assert (reference.distances > reference.q95).mean() == pytest.approx(0.05, abs=0.001)
    assert len(np.unique(reference.clusters)) > 20
    assert reference.occupancy.sum() == reference.count == 2000


def test_leave_one_out_distances_by_hand() -> None:
    built = build_reference(np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]]), "model:1")
    assert built.distances == pytest.approx([0.2, 0.2, 0.4])
    assert built.nulls == {}


def test_survives_an_npz_file_without_pickle(reference: Reference) -> None:
    file = io.BytesIO()
    np.savez(file, **reference.to_arrays())  # type: ignore[arg-type]
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = Reference.from_arrays(dict(arrays))
    window = queries(150, EVEN, seed=7)
    first, second = (compare(each, window, 0.01, smallest=50) for each in (reference, again))
    assert (first.statistics, first.informing, first.moved) == (second.statistics, second.informing, second.moved)
    assert (again.embedder, again.count, again.seed, again.rate) == ("model:1", 2000, 0, reference.rate)


def test_a_reference_by_an_earlier_release_is_calibrated_for_what_came_since(reference: Reference) -> None:
    later = {"neighbours", *(f"null/{name}/" for name in ("novelty_surprise", "topic_concentration"))}
    arrays = {name: value for name, value in reference.to_arrays().items() if not any(name.startswith(each) for each in later)}
    again = Reference.from_arrays(arrays)
    window = queries(150, EVEN, seed=7)
    assert compare(again, window, 0.01, smallest=50).statistics == compare(reference, window, 0.01, smallest=50).statistics


def test_arrays_that_lack_something_are_refused(reference: Reference) -> None:
    arrays = reference.to_arrays()
    del arrays["feature_mean"]
    with pytest.raises(ValueError, match="feature_mean"):
        Reference.from_arrays(arrays)


def test_beyond_the_cap_a_sample_is_compared_and_all_rows_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CAP", 300)
    vectors = queries(1000, EVEN, seed=5)
    built, again, other = (build_reference(vectors, "model:1", seed) for seed in (2, 2, 3))
    assert built.count == 1000
    assert built.occupancy.sum() == 1000
    assert built.vectors.shape == (300, 32)
    assert np.array_equal(built.vectors, vectors[built.rows])
    assert len(np.unique(built.rows)) == 300
    assert built.mean == pytest.approx(vectors.mean(axis=0), abs=1e-6)
    assert built.feature_mean == pytest.approx(fourier_features(vectors, built.bandwidth, 2).mean(axis=0), abs=1e-6)
    assert np.array_equal(built.rows, again.rows)
    assert not np.array_equal(built.rows, other.rows)


def test_vectors_of_another_embedder_are_of_another_space(reference: Reference) -> None:
    assert same_space(reference, "model:1")
    assert not same_space(reference, "model:2")


@pytest.mark.parametrize(
    ("vectors", "match"),
    [
        (2 * np.eye(3), "not of length 1"),
        (np.array([[1.0, 0.0], [np.nan, 0.0]]), "not finite"),
        (np.ones(3), "shape"),
        (np.eye(3)[:1], "at least 2"),
    ],
)
def test_unusable_vectors_are_refused(vectors: np.ndarray, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        build_reference(vectors, "model:1")
