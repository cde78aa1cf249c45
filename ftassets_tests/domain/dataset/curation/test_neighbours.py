"""What is found of near vectors, in one cell and in many, against all cosines."""

import numpy as np
import pytest

from ftassets.domain.dataset.curation.neighbours import Neighbours, alike, cells_of, grouped
from ftassets_tests.domain.dataset.curation.sample import spread

Pair = tuple[int, int]


def clusters(topics: int, members: int, noise: float = 0.02) -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = np.repeat(spread(topics), members, axis=0)
    vectors += noise * rng.normal(size=vectors.shape)
    vectors = vectors[rng.permutation(len(vectors))]
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def pairs(vectors: np.ndarray, cells: np.ndarray | None, limit: float) -> set[Pair]:
    everything = np.arange(len(vectors))
    known = Neighbours(vectors, cells)
    known.add(everything)
    return {(i, j) for left, right, _ in known.alike(everything, limit) for i, j in zip(left.tolist(), right.tolist(), strict=True)}


def near(vectors: np.ndarray, limit: float) -> set[Pair]:
    return {(i, j) for i, j in zip(*(side.tolist() for side in np.nonzero(vectors @ vectors.T >= limit)), strict=True)}


@pytest.mark.parametrize("count", [0, 1, 5, 40])
def test_tiles_make_no_difference(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.TILE", 7)
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.PART", 11)
    vectors = spread(count, topic=0).astype(np.float32)
    assert pairs(vectors, None, 0.6) == near(vectors, 0.6)
    asked = np.arange(count)[::-1]
    both = {
        (count - 1 - i, j)
        for left, right, _ in alike(vectors, asked, vectors[:9], 0.6)
        for i, j in zip(left.tolist(), right.tolist(), strict=True)
    }
    assert both == {(i, j) for i, j in near(vectors, 0.6) if j < 9}


def test_equal_vectors_are_alike_at_a_limit_of_one() -> None:
    vectors = np.repeat(np.random.default_rng(0).normal(size=(1, 384)).astype(np.float32), 2, axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert len(pairs(vectors, None, 1.0)) == 4


def test_cells_find_what_is_near_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.CELL_SIZE", 10)
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.PROBES", 8)
    vectors = clusters(200, 10)
    cells = cells_of(vectors)
    assert len(np.unique(cells)) > 150
    truth, found = near(vectors, 0.95), pairs(vectors, cells, 0.95)
    assert found <= truth
    assert len(truth) > 15_000
    assert len(found) / len(truth) > 0.99


def test_order_does_not_matter_to_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.CELL_SIZE", 10)
    vectors = clusters(20, 10)
    turned = np.random.default_rng(1).permutation(len(vectors))
    place = np.argsort(turned)
    moved = pairs(vectors[turned], cells_of(vectors[turned]), 0.95)
    assert {(int(place[i]), int(place[j])) for i, j in pairs(vectors, cells_of(vectors), 0.95)} == moved


@pytest.mark.parametrize("many", [False, True])
def test_nearest_are_those_with_the_highest_cosines(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.CELL_SIZE", 20)
    monkeypatch.setattr("ftassets.domain.dataset.curation.neighbours.TILE", 50)
    vectors = clusters(30, 20)
    added, asking = np.arange(0, 600, 2), np.arange(0, 600, 5)
    known = Neighbours(vectors, cells_of(vectors) if many else None)
    known.add(added[:100])
    known.add(added[100:])
    cosine = vectors[asking] @ vectors[added].T
    cosine[asking[:, None] == added] = -2
    best = added[np.argsort(-cosine, axis=1)[:, :5]]
    found = known.nearest(asking, 5)
    same = [len({*one.tolist()} & {*other.tolist()}) for one, other in zip(found, best, strict=True)]
    assert min(same) == 5 if not many else sum(same) / (5 * len(asking)) > 0.99


def test_fewer_than_asked_for_are_said_to_be_missing() -> None:
    vectors = spread(3).astype(np.float32)
    known = Neighbours(vectors)
    assert np.all(known.nearest(np.arange(3), 2) == -1)
    known.add(np.array([0, 1]))
    assert [sorted(found) for found in known.nearest(np.arange(3), 3).tolist()] == [[-1, -1, 1], [-1, -1, 0], [-1, 0, 1]]


def test_groups_are_all_places_of_a_number() -> None:
    assert [(name, places.tolist()) for name, places in grouped(np.array([3, 1, 3]))] == [(1, [1]), (3, [0, 2])]
    assert list(grouped(np.array([], dtype=np.int64))) == []
