"""What a version's reference is made of, and what happens to it when the embedder changes."""

from pathlib import Path

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import reference_path, unpack_arrays
from ftassets.assets.drift_report.reference import Known, made, stored, usable, wanted_answers
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.config.home import Home
from ftassets.config.loop import Drift
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.hash_embedder import CountingEmbedder, HashEmbedder
from ftassets.testing.releases import loop_config, make_version

POLICY = Drift(sample=20, min_sample=10, reference_requests=5, reference_windows=3)


def exchange(number: int, version: str, status: int = 200) -> Exchange:
    text = f"dim lamp {number} in room {number % 7}"
    return Exchange(
        id=f"r{number}-{status}", loop="support", version=version, user="", prompt=text, messages="[]", answer="{}", status=status,
        at=1000.0 + number, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
    )  # fmt: skip


class World:
    """An adopted version with its traffic, in real stores."""

    def __init__(self, folder: Path) -> None:
        home = Home(folder)
        self.artifacts, self.vectors = FolderArtifacts(folder), QdrantVectorStore(home.vectors)
        self.store, self.log = GitDatasetStore(home.datasets), SqliteTrafficLog(home.traffic_db)
        loop = loop_config("support")
        self.loop = loop.model_copy(update={"retrain_on": loop.retrain_on.model_copy(update={"drift": POLICY})})
        self.version = make_version(home, "adopted")

    def made(self, run: str, embedder: HashEmbedder) -> Known | None:
        return made(run, self.loop, self.version, self.artifacts, self.log, self.store, self.vectors, embedder, 0.01)

    def stored(self) -> Known:
        found = stored(self.store, "support", self.version)
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_it_waits_for_enough_answers_and_is_made_of_them_alone(world: World) -> None:
    version = world.version
    world.log.append([exchange(n, version) for n in range(29)] + [exchange(n, version, 500) for n in range(40)] + [exchange(99, "f" * 64)])
    assert world.made("run-1", HashEmbedder()) is None, "5 answers widen a reference, they make none"
    assert stored(world.store, "support", version) is None
    world.log.append([exchange(n, version) for n in range(29, 40)])
    known = world.made("run-2", HashEmbedder())
    assert known is not None
    assert known.reference.count == 30
    assert 1029.0 < known.until < 1029.1, "later answers are evidence, not reference"
    again = world.stored()
    assert (again.reference.count, again.commit) == (30, known.commit)


def test_another_embedder_makes_it_again_of_the_same_queries_and_the_old_one_stays_in_the_history(world: World) -> None:
    world.log.append([exchange(n, world.version) for n in range(40)])
    old = world.made("run-1", HashEmbedder())
    assert old is not None
    assert usable(old, HashEmbedder().id) == (old, None)
    assert usable(world.stored(), HashEmbedder(32).id) == (None, HashEmbedder().id)
    assert usable(None, HashEmbedder().id) == (None, None)
    new = world.made("run-2", HashEmbedder(32))
    assert new is not None
    assert (new.reference.embedder, new.reference.vectors.shape[1]) == (HashEmbedder(32).id, 32)
    assert (new.reference.count, new.until) == (old.reference.count, old.until)
    assert world.stored().commit == new.commit != old.commit
    before = unpack_arrays(world.store.read(old.commit, reference_path("support", world.version)))
    assert str(before["embedder"]) == HashEmbedder().id


def test_queries_that_were_embedded_as_traffic_are_not_embedded_again(world: World) -> None:
    answers = [exchange(n, world.version) for n in range(30)]
    world.log.append(answers)
    vectors = HashEmbedder().embed([e.prompt for e in answers])
    points = [QueryVector(e.id, e.at, e.version, e.prompt, v) for e, v in zip(answers, vectors, strict=True)]
    world.vectors.add("support", HashEmbedder().id, points[::2])
    embedder = CountingEmbedder()
    known = world.made("run-1", embedder)
    assert known is not None
    assert embedder.asked == [e.prompt for e in answers[1::2]]
    np.testing.assert_allclose(known.reference.vectors, vectors, atol=1e-6)


def test_answers_only_widen_a_reference_of_training_queries() -> None:
    assert (wanted_answers(POLICY, trained=True), wanted_answers(POLICY, trained=False)) == (5, 30)
    assert wanted_answers(POLICY.model_copy(update={"reference_requests": 50}), trained=False) == 50
