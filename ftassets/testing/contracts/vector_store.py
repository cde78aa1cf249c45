"""What every vector store must do."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftassets.backends.vector_store.base import QueryVector, VectorStore
from ftassets.domain.drift.vector_sample import drawn

MakeStore = Callable[[Path], VectorStore]


def point(number: int, at: float | None = None) -> QueryVector:
    vector = np.random.default_rng(number).normal(size=8).astype(np.float32)
    return QueryVector(f"req-{number}", float(number) if at is None else at, "v1", f"text \u00e9 {number}", vector / np.linalg.norm(vector))


def ids(points: list[QueryVector]) -> list[str]:
    return [p.request_id for p in points]


class VectorStoreContract:
    """Subclass it with a fixture `make`: a function that opens the store of a folder, the same store for the same folder."""

    @pytest.fixture
    def make(self) -> MakeStore:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def store(self, make: MakeStore, tmp_path: Path) -> VectorStore:
        return make(tmp_path)

    def test_an_empty_store_answers(self, store: VectorStore) -> None:
        store.add("voice", "e", [])
        store.remove("voice", ["req-1"])
        assert (store.window("voice", "e", 0, 9, 5), store.count("voice", "e")) == ([], 0)

    def test_points_come_back_as_they_went_in(self, make: MakeStore, tmp_path: Path) -> None:
        stored = replace(point(1), at=1_795_308_147.123456)
        make(tmp_path).add("voice", "e", [stored])
        (found,) = make(tmp_path).window("voice", "e", 0, float("inf"), 5)
        np.testing.assert_array_equal(found.vector, stored.vector)
        assert (found.vector.dtype, found.vector.shape) == (np.float32, (8,))
        assert replace(found, vector=stored.vector) == stored

    def test_adding_again_replaces(self, store: VectorStore) -> None:
        store.add("voice", "e", [point(1), point(2)])
        store.add("voice", "e", [replace(point(1), version="v2"), point(3)])
        assert store.count("voice", "e") == 3
        assert [p.version for p in store.window("voice", "e", 0, 9, 9)] == ["v2", "v1", "v1"]

    def test_windows_are_half_open_and_ordered_by_time(self, store: VectorStore) -> None:
        store.add("voice", "e", [point(n) for n in (4, 2, 3, 1)])
        assert ids(store.window("voice", "e", 2, 4, 10)) == ["req-2", "req-3"]
        assert store.window("voice", "e", 5, 9, 10) == []
        assert (store.count("voice", "e", 2, 4), store.count("voice", "e", since=3), store.count("voice", "e")) == (2, 2, 4)

    def test_points_are_found_by_their_requests(self, store: VectorStore) -> None:
        assert store.find("voice", "e", ["req-1"]) == []
        store.add("voice", "e", [point(n) for n in (3, 1, 2)])
        assert ids(store.find("voice", "e", ["req-3", "nobody", "req-1"])) == ["req-1", "req-3"]
        assert store.find("voice", "e", []) == []

    def test_a_sample_is_random_without_replacement_and_repeats_with_its_seed(self, store: VectorStore) -> None:
        store.add("voice", "e", [point(n) for n in range(40)])
        first = ids(store.window("voice", "e", 0, 40, 15, seed=1))
        assert len(set(first)) == 15
        assert first == ids(store.window("voice", "e", 0, 40, 15, seed=1))
        assert first != ids(store.window("voice", "e", 0, 40, 15, seed=2))
        assert [int(i.removeprefix("req-")) for i in first] == sorted(int(i.removeprefix("req-")) for i in first)
        seen = {i for seed in range(12) for i in ids(store.window("voice", "e", 0, 40, 15, seed=seed))}
        assert len(seen) > 35  # every part of the window is drawn from

    def test_a_sample_does_not_depend_on_the_order_of_adding(self, make: MakeStore, tmp_path: Path) -> None:
        points = [point(n) for n in range(20)]
        one, other = make(tmp_path / "one"), make(tmp_path / "other")
        one.add("voice", "e", points)
        other.add("voice", "e", points[::-1])
        assert ids(one.window("voice", "e", 0, 20, 5)) == ids(other.window("voice", "e", 0, 20, 5))

    def test_removed_points_are_gone(self, make: MakeStore, tmp_path: Path) -> None:
        store = make(tmp_path)
        store.add("voice", "e", [point(1), point(2)])
        store.remove("voice", ["req-1", "nobody"])
        assert ids(make(tmp_path).window("voice", "e", 0, 9, 9)) == ["req-2"]
        store.remove("voice", [])
        assert store.count("voice", "e") == 1

    def test_points_of_before_a_time_expire(self, make: MakeStore, tmp_path: Path) -> None:
        store = make(tmp_path)
        store.expire("voice", "e", 2.0)
        store.add("voice", "e", [point(n) for n in (1, 2, 3)])
        store.add("voice", "other", [point(1)])
        store.add("triage", "e", [point(1)])
        store.expire("voice", "e", 2.0)
        assert ids(make(tmp_path).window("voice", "e", 0, 9, 9)) == ["req-2", "req-3"]
        assert (store.count("voice", "other"), store.count("triage", "e")) == (1, 1)
        store.expire("voice", "e", 9.0)
        assert store.count("voice", "e") == 0

    def test_points_are_thinned_out_to_a_share_of_requests_that_is_remembered(self, make: MakeStore, tmp_path: Path) -> None:
        store = make(tmp_path)
        store.thin("voice", "e", 0.5)
        assert store.share("voice", "e") == 1.0, "there is nothing to thin out"
        store.add("voice", "e", [point(n) for n in range(60)])
        store.add("voice", "other", [point(1)])
        store.thin("voice", "e", 0.3)
        kept = [f"req-{n}" for n in range(60) if drawn(f"req-{n}", 0.3)]
        assert 5 < len(kept) < 35
        again = make(tmp_path)
        assert ids(again.window("voice", "e", 0, 99, 99)) == kept
        assert (again.share("voice", "e"), again.share("voice", "other"), again.count("voice", "other")) == (0.3, 1.0, 1)
        assert again.embedders("voice") == ["e", "other"]
        again.drop("voice", "e")
        assert again.share("voice", "e") == 1.0

    def test_loops_are_apart(self, store: VectorStore) -> None:
        store.add("voice", "e", [point(1)])
        store.add("triage", "other", [replace(point(2), vector=np.ones(3, dtype=np.float32))])
        assert (store.count("voice", "e"), store.count("triage", "other")) == (1, 1)

    def test_vectors_of_two_embedders_never_meet(self, store: VectorStore) -> None:
        wide = replace(point(2), vector=np.ones(3, dtype=np.float32))
        store.add("voice", "minilm:1", [point(1)])
        store.add("voice", "minilm:2", [wide])
        assert (ids(store.window("voice", "minilm:1", 0, 9, 9)), ids(store.window("voice", "minilm:2", 0, 9, 9))) == (["req-1"], ["req-2"])
        assert store.find("voice", "minilm:2", ["req-1"]) == []
        assert (store.count("voice", "minilm:1"), store.count("voice", "minilm:2"), store.count("voice", "none")) == (1, 1, 0)
        assert (store.embedders("voice"), store.embedders("triage")) == (["minilm:1", "minilm:2"], [])

    def test_a_request_is_forgotten_in_the_vectors_of_every_embedder(self, store: VectorStore) -> None:
        store.add("voice", "minilm:1", [point(1), point(2)])
        store.add("voice", "minilm:2", [point(1), point(2)])
        store.remove("voice", ["req-1"])
        assert [ids(store.window("voice", each, 0, 9, 9)) for each in ("minilm:1", "minilm:2")] == [["req-2"], ["req-2"]]

    def test_the_vectors_of_one_embedder_are_dropped(self, make: MakeStore, tmp_path: Path) -> None:
        store = make(tmp_path)
        store.add("voice", "minilm:1", [point(1)])
        store.add("voice", "minilm:2", [point(2)])
        store.add("triage", "minilm:1", [point(3)])
        store.drop("voice", "minilm:1")
        store.drop("voice", "nobody")
        again = make(tmp_path)
        assert (again.embedders("voice"), again.embedders("triage")) == (["minilm:2"], ["minilm:1"])
        assert (again.count("voice", "minilm:1"), again.count("voice", "minilm:2"), again.count("triage", "minilm:1")) == (0, 1, 1)
        again.add("voice", "minilm:1", [point(4)])
        assert ids(again.window("voice", "minilm:1", 0, 9, 9)) == ["req-4"]

    def test_vectors_of_another_length_are_refused(self, store: VectorStore) -> None:
        store.add("voice", "e", [point(1)])
        for points in ([replace(point(2), vector=np.ones(3, dtype=np.float32))], [point(2), replace(point(3), vector=np.ones(9))]):
            with pytest.raises(ValueError, match="have 8 dimensions.*set embedder.revision"):
                store.add("voice", "e", points)
        assert ids(store.window("voice", "e", 0, 9, 9)) == ["req-1"]
