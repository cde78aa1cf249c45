"""What a version's reference is made of, and what happens to it when the embedder changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import reference_path, unpack_arrays
from ftassets.assets.drift_report.reference import Known, answers_of, before, first_answers, made, stored, usable, wanted_answers
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

POLICY = Drift(sample=20, min_sample=10, reference_requests=5, reference_windows=3, reference_span=1.0)


def exchange(number: int, version: str, status: int = 200) -> Exchange:
    text = f"dim lamp {number} in room {number % 7}"
    return Exchange(
        id=f"r{number}-{status}", loop="support", version=version, user="", prompt=text, messages="[]", answer="{}", status=status,
        at=1000.0 + number, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
    )  # fmt: skip


class World:
    """An adopted version with its traffic, in real stores."""

    def __init__(self, folder: Path) -> None:
        self.home = home = Home(folder)
        self.artifacts, self.vectors = FolderArtifacts(folder), QdrantVectorStore(home.vectors)
        self.store, self.log = GitDatasetStore(home.datasets), SqliteTrafficLog(home.traffic_db)
        loop = loop_config("support")
        self.loop = loop.model_copy(update={"retrain_on": loop.retrain_on.model_copy(update={"drift": POLICY})})
        self.version = make_version(home, "adopted")
        self.stores = (self.artifacts, self.log, self.store, self.vectors)

    def made(
        self, run: str, embedder: HashEmbedder, version: str | None = None, earlier: Known | None = None, now: float = 1e9
    ) -> Known | None:
        version = version or self.version
        first = answers_of(self.loop, version, self.artifacts, self.log, now)
        return made(run, self.loop, version, self.artifacts, first, self.store, self.vectors, embedder, 0.01, earlier)

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


DAY = 86400.0


def answered(
    world: World, times: list[float], text: str = "dim lamp {n} in room {m}", prefix: str = "w", version: str | None = None
) -> None:
    rows = []
    for n, at in enumerate(times):
        row = exchange(0, version or world.version)
        rows.append(replace(row, id=f"{prefix}{n}", at=at, prompt=text.format(n=n, m=n % 7)))
    world.log.append(rows)


def test_first_answers_cover_whole_spans_in_proportion_to_the_traffic(world: World) -> None:
    night = [1000.0 + n for n in range(300)]  # 300 within five minutes of one night
    days = [1000.0 + day * DAY + hour * 3600 for day in range(8) for hour in range(24)]
    answered(world, sorted([*night, *days]))
    about = (world.log, "support", world.version, 100, 7 * DAY)
    assert first_answers(*about, now=1000.0 + 6.9 * DAY) is None, "the week is not over"
    found = first_answers(*about, now=1000.0 + 7 * DAY + 1)
    assert found is not None
    assert (len(found.answers), found.days) == (100, 7.0)
    of_the_night = sum(answer.at < 1300 for answer in found.answers)
    assert 0.5 < of_the_night / 100 < 0.75, "300 of 468 answers are of the night"
    assert {int((answer.at - 1000) // DAY) for answer in found.answers} == set(range(7))
    assert found.answers == sorted(found.answers, key=lambda answer: answer.at)


def test_a_row_dated_years_back_is_not_when_a_version_began(world: World) -> None:
    times = [1e9 + n * DAY / 30 for n in range(300)]
    answered(world, [5000.0, *times])
    found = first_answers(world.log, "support", world.version, 200, 7 * DAY, now=1e9 + 30 * DAY)
    assert found is not None
    assert (len(found.answers), found.days) == (200, 7.0)
    assert found.answers[0].at == 1e9


def test_a_quiet_loop_waits_for_as_many_whole_spans_as_it_needs(world: World) -> None:
    answered(world, [1000.0 + n * DAY / 10 for n in range(200)])  # 10 a day
    about = (world.log, "support", world.version, 100, 7 * DAY)
    assert first_answers(*about, now=1000.0 + 13 * DAY) is None
    found = first_answers(*about, now=1000.0 + 15 * DAY)
    assert found is not None
    assert (len(found.answers), found.days) == (100, 14.0)
    assert first_answers(world.log, "support", "f" * 64, 100, DAY, now=1e9) is None
    assert first_answers(world.log, "support", world.version, 500, DAY, now=1e9) is None


def test_a_new_version_begins_with_what_the_one_before_knew_and_is_widened_without_new_topics(world: World) -> None:
    week = world.loop.model_copy(update={"retrain_on": world.loop.retrain_on.model_copy(update={"drift": POLICY.model_copy(
        update={"reference_requests": 60, "reference_span": 7 * DAY})})})  # fmt: skip
    world.loop = week
    answered(world, [1000.0 + n * DAY / 10 for n in range(70)])
    first = world.made("run-1", HashEmbedder(), world.version, None, now=1000.0 + 8 * DAY)
    assert first is not None
    assert (first.provisional, first.reference.count) == (False, 60)

    second = make_version(world.home, "unrelated")
    served = before(world.store, "support", [None, second, world.version], HashEmbedder().id)
    assert served is not None
    assert before(world.store, "support", [world.version], HashEmbedder(32).id) is None, "of another embedder"
    at = 1000.0 + 8 * DAY
    new = "order a pizza with extra cheese {n}"
    answered(world, [at + n * DAY / 10 for n in range(60)], prefix="s", version=second)
    answered(world, [at + n * DAY / 10 + 5 for n in range(20)], new, prefix="t", version=second)
    provisional = world.made("run-2", HashEmbedder(), second, served, now=at + DAY)
    assert provisional is not None
    assert (provisional.provisional, provisional.reference.count, provisional.until) == (True, 60, served.until)
    assert provisional.sentences[0].startswith(
        "provisional: training queries and what the version before knew, until 60 answers of its own, over 7 days,"
    )
    again = stored(world.store, "support", second)
    assert again is not None
    assert again.provisional
    assert answers_of(week, second, world.artifacts, world.log, at + DAY) is None
    whole = world.made("run-3", HashEmbedder(), second, again, now=at + 8 * DAY)
    assert whole is not None
    assert not whole.provisional
    assert "of the 60 first answers do not widen this reference" in whole.sentences[0]
    pizza = HashEmbedder().embed([new.format(n=n) for n in range(20)])
    lamps = HashEmbedder().embed([f"dim lamp {n} in room {n % 7}" for n in range(20)])
    nearest = [float((whole.reference.vectors @ vector).max()) for vector in (*pizza, *lamps)]
    assert max(nearest[:20]) < 0.5 < min(nearest[20:]), "pizza is as new as it was"
