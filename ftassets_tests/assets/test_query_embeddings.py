"""Queries to vectors: only new ones, page by page, and all that reports need once more when the embedder changes."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from ftassets.assets import query_embeddings, traffic
from ftassets.backends.control.files import FilesControl
from ftassets.backends.embedder.base import EmbedderError
from ftassets.backends.traffic_log.base import Arrival
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.config.loop import EmbedderSettings
from ftassets.domain.drift.vector_sample import drawn, in_words
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.releases import loop_config

DAY = 86_400.0
A, B = HashEmbedder(64).id, HashEmbedder(32).id


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked; raises after `healthy` calls, and turns its vectors by another seed when `other` is set."""

    def __init__(self, dimensions: int = 64, healthy: int = 10**9, other: bool = False) -> None:
        super().__init__(dimensions)
        self.asked: list[str] = []
        self.healthy, self.other = healthy, other

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        if self.healthy == 0:
            raise EmbedderError("the embedder does not answer")
        self.healthy -= 1
        self.asked += texts
        vectors = super().encode(texts)
        return vectors[:, ::-1] if self.other else vectors


class World:
    """One asset over real stores."""

    def __init__(self, folder: Path) -> None:
        self.clock = self.now = time.time()
        self.log = SqliteTrafficLog(folder / "traffic.db", clock=lambda: self.clock)
        self.control = FilesControl(folder)
        self.vectors, self.instance = QdrantVectorStore(folder / "vectors"), dg.DagsterInstance.ephemeral()
        self.loop = loop_config("support", embedder={"type": "openai", "model": "m", "url": "https://api.example.com/v1"})
        self.settings: list[EmbedderSettings] = []

    def answered(self, *ages: float, status: int = 200, arrived: float | None = None) -> list[str]:
        """Queries that many seconds old, in the log since then or since `arrived` seconds ago; their texts."""
        made = [
            Exchange(
                id=f"r{age}-{status}", loop="support", version="v", user="", prompt=f"dim lamp {age}", messages="[]", answer="{}",
                status=status, at=self.now - age, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
            )
            for age in ages
        ]  # fmt: skip
        for each in made:
            self.clock = each.at if arrived is None else self.now - arrived
            self.log.append([each])
        return [e.prompt for e in made]

    def run(self, embedder: HashEmbedder) -> dict[str, Any]:
        """Metadata of one materialization. Raises what the asset raises."""

        def embedder_of(settings: EmbedderSettings) -> HashEmbedder:
            self.settings.append(settings)
            return embedder

        assets = [traffic.build(self.loop), query_embeddings.build(self.loop)]
        resources = {
            "traffic_log": self.log, "vector_store": self.vectors, "control": self.control,
            "embedder_of": dg.ResourceDefinition(lambda _: embedder_of),
        }  # fmt: skip
        result = dg.materialize(assets, resources=resources, instance=self.instance)
        [made] = [e for e in result.get_asset_materialization_events() if e.asset_key and e.asset_key.path[-1] == "query_embeddings"]
        return {name: value.value for name, value in made.materialization.metadata.items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_loop_chooses_the_embedder_and_new_queries_alone_are_embedded(world: World) -> None:
    first = world.answered(400, 300, 200)
    world.answered(250, status=500)
    embedder = CountingEmbedder()
    made = world.run(embedder)
    assert world.settings == [world.loop.embedder]
    assert sorted(embedder.asked) == sorted(first)
    assert (made["new"], made["total"], made["embedder"]) == (3, 3, A)
    assert "embedder_changed" not in made
    embedder.asked.clear()
    assert world.run(embedder)["new"] == 0
    assert embedder.asked == []
    late = world.answered(350, 100, arrived=50)  # the first began before the newest vector and was logged after it
    assert world.run(embedder)["new"] == 2
    assert set(embedder.asked) >= set(late)
    assert len(embedder.asked) == 3, "one earlier query is asked again, to see that the model is the same"


def test_more_requests_than_the_store_is_for_have_a_uniform_sample_of_vectors(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.loop = loop_config("support", traffic={"vectors": 1000})
    monkeypatch.setattr(query_embeddings, "PAGE", 300)
    first = world.answered(*(20 * DAY - n for n in range(1150)), arrived=300)
    embedder = CountingEmbedder()
    made = world.run(embedder)
    share = world.vectors.share("support", A)
    assert 0.55 < share < 0.75, "1,200 of four pages were too many: three quarters of the 1,000 remain"
    assert made["sample"] == in_words(share)
    assert made["total"] == sum(drawn(f"r{20 * DAY - n}-200", share) for n in range(1150))
    embedder.asked.clear()
    later = world.answered(*(10 * DAY - n for n in range(100)), arrived=10)
    new = world.run(embedder)["new"]
    assert new == sum(drawn(f"r{10 * DAY - n}-200", share) for n in range(100))
    assert len(set(embedder.asked) & set(later)) == new < 100, "the others are not even embedded"
    assert first
    world.vectors.bounded = False  # as a server, which keeps what it has
    assert world.run(embedder)["total"] == made["total"] + new


def test_another_embedder_makes_the_vectors_again_and_says_so(world: World) -> None:
    world.answered(60 * DAY, 40 * DAY, 20 * DAY, 3600)
    world.run(HashEmbedder(64))
    assert world.vectors.count("support", A) == 2, "of the production window of 30 days, the rest is in no report"
    world.answered(10)
    other = CountingEmbedder(32)
    made = world.run(other)
    assert len(other.asked) == 3
    since = time.strftime("%Y-%m-%d", time.gmtime(world.now - 30 * DAY))
    assert made["embedder_changed"] == f"from {A} to {B}: 3 queries since {since} embedded again"
    assert world.vectors.embedders("support") == [B]
    assert world.vectors.count("support", B) == 3
    assert "embedder_changed" not in world.run(other)


def test_a_killed_rebuild_is_resumed_and_the_old_vectors_stay_until_it_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_embeddings, "PAGE", 5)
    world.answered(*(2 * DAY - 3600 * n for n in range(23)))
    world.run(HashEmbedder(64))
    with pytest.raises(EmbedderError, match="does not answer"):
        world.run(CountingEmbedder(32, healthy=2))
    assert world.vectors.embedders("support") == sorted([A, B])
    assert (world.vectors.count("support", A), world.vectors.count("support", B)) == (23, 10), "two pages"
    rest = CountingEmbedder(32)
    made = world.run(rest)
    assert (made["new"], made["total"]) == (13, 23)
    assert len(set(rest.asked)) == 14, "13 queries, and one to see that the model is the same"
    assert made["embedder_changed"].startswith(f"from {A} to {B}")
    assert world.vectors.embedders("support") == [B]


def test_a_rebuild_without_an_embedder_leaves_everything_as_it_was(world: World) -> None:
    world.answered(100)
    world.run(HashEmbedder(64))
    with pytest.raises(EmbedderError):
        world.run(CountingEmbedder(32, healthy=0))
    assert world.vectors.embedders("support") == [A]
    assert world.vectors.count("support", A) == 1
    assert world.run(HashEmbedder(64))["total"] == 1, "back to the first embedder, nothing is to be done"


def test_many_queries_of_one_moment_are_all_embedded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_embeddings, "PAGE", 2)
    world.log.append(
        [
            Exchange(
                id=f"r{n}", loop="support", version="v", user="", prompt=f"lamp {n}", messages="[]", answer="{}", status=200,
                at=world.now, latency_ms=1.0, first_token_ms=None, tokens_in=None, tokens_out=None, weight=100.0,
            )
            for n in range(9)
        ]
    )  # fmt: skip
    assert world.run(HashEmbedder())["total"] == 9


def test_another_model_behind_the_same_name_embeds_everything_again_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.answered(20 * DAY, 200)
    world.run(CountingEmbedder())
    world.answered(100)
    other = CountingEmbedder(other=True)
    made = world.run(other)
    since = time.strftime("%Y-%m-%d", time.gmtime(world.now - 30 * DAY))
    assert made["embedder_changed"] == f"from {A} to {A}#2: 3 queries since {since} embedded again"
    assert (made["embedder"], made["total"], world.vectors.embedders("support")) == (f"{A}#2", 3, [f"{A}#2"])
    assert len(other.asked) == 2 + 3, "the new one with one that was known, then all"
    world.answered(50)
    assert "embedder_changed" not in world.run(other)
    assert world.vectors.count("support", f"{A}#2") == 4

    world.answered(40)
    world.run(CountingEmbedder())
    assert world.vectors.embedders("support") == [f"{A}#3"]
    world.answered(30)
    with pytest.raises(EmbedderError, match="back and forth, name a fixed revision"):
        world.run(other)
    assert world.vectors.count("support", f"{A}#3") == 5, "nothing of the other model is stored"
    monkeypatch.setattr(query_embeddings.time, "time", lambda: world.now + 2 * DAY)
    world.run(other)
    assert world.vectors.embedders("support") == [f"{A}#4"], "a day later"


def test_a_killed_rebuild_of_a_changed_model_is_resumed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_embeddings, "PAGE", 5)
    world.answered(*(2 * DAY - 3600 * n for n in range(20)))
    world.run(CountingEmbedder())
    world.answered(100)
    with pytest.raises(EmbedderError, match="does not answer"):
        world.run(CountingEmbedder(other=True, healthy=3))
    assert world.vectors.embedders("support") == [A, f"{A}#2"]
    rest = CountingEmbedder(other=True)
    made = world.run(rest)
    assert (made["total"], world.vectors.embedders("support")) == (21, [f"{A}#2"])
    assert 0 < made["new"] < 21


def test_a_request_that_was_forgotten_is_not_embedded_again(world: World) -> None:
    world.answered(300, 200)
    world.run(HashEmbedder(64))
    world.log.forget(request_ids=["r300-200"])
    world.vectors.remove("support", ["r300-200"])
    assert world.run(HashEmbedder(32))["total"] == 1


def test_what_nothing_reads_any_more_is_neither_embedded_nor_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = query_embeddings.kept_for(world.loop)
    assert kept == world.loop.dataset.production_window > 2 * world.loop.retrain_on.drift.window
    recent, old = world.answered(100, kept - DAY - 100, kept - 100), world.answered(kept + 100)
    embedder = CountingEmbedder()
    assert world.run(embedder)["total"] == 3
    assert sorted(embedder.asked) == sorted(recent)
    monkeypatch.setattr(query_embeddings.time, "time", lambda: world.now + DAY)
    assert world.run(embedder)["total"] == 2
    assert old[0] not in embedder.asked


def test_only_what_may_be_new_is_read_of_the_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.answered(*range(1000, 9000, 1000))
    world.run(CountingEmbedder())
    world.answered(60)
    read: list[str] = []
    arrivals = world.log.arrivals

    def remembered(*window: Any) -> Iterator[Arrival]:
        for arrival in arrivals(*window):
            read.append(arrival.exchange.prompt)
            yield arrival

    monkeypatch.setattr(world.log, "arrivals", remembered)
    assert world.run(CountingEmbedder())["new"] == 1
    assert read == ["dim lamp 1000", "dim lamp 60"]
    read.clear()
    assert world.run(CountingEmbedder())["new"] == 0
    assert read == ["dim lamp 60"]


@pytest.mark.parametrize("arrived", [100, -30 * DAY], ids=["an import", "a gateway with a wrong clock"])
def test_one_row_dated_in_the_future_hides_nothing_that_comes_after_it(world: World, arrived: float) -> None:
    world.answered(3000, 200)
    world.run(HashEmbedder())
    world.answered(-30 * DAY, arrived=arrived)
    world.run(HashEmbedder())
    for number in range(3):
        late = world.answered(50 - number, arrived=50 - number)
        embedder = CountingEmbedder()
        assert world.run(embedder)["new"] == 1
        assert set(embedder.asked) >= set(late)
    assert world.vectors.count("support", A, until=world.now) == 5


def test_history_that_is_imported_later_is_embedded(world: World) -> None:
    world.answered(3000, 200)
    world.run(HashEmbedder())
    world.answered(20 * DAY, 3 * DAY, 60 * DAY, arrived=10)
    assert world.run(HashEmbedder())["new"] == 2, "what is older than anything reads is left out"


def test_vectors_that_were_lost_are_made_again(world: World) -> None:
    world.answered(5000, 3000, 200)
    world.run(HashEmbedder())
    world.vectors.drop("support", A)
    assert world.run(HashEmbedder())["new"] == 3


def test_another_context_is_another_space_and_is_embedded_again(world: World) -> None:
    turns = [("user", "my lamp is broken"), ("assistant", "a refund?"), ("user", "yes")]
    messages = json.dumps([{"role": role, "content": text} for role, text in turns])
    world.answered(DAY)
    talk = replace(next(world.log.stream("support")), id="talk", at=world.now - 60, prompt="yes", messages=messages)
    world.log.append([talk])
    whole, last = CountingEmbedder(), CountingEmbedder()
    assert world.run(whole)["embedder"] == A
    assert "user: my lamp is broken\nassistant: a refund?\nuser: yes" in whole.asked
    world.loop = world.loop.model_copy(update={"dataset": world.loop.dataset.model_copy(update={"context": "last_turn"})})
    made = world.run(last)
    assert made["embedder"] == f"{A}+last_turn"
    assert made["embedder_changed"].startswith(f"from {A} to {A}+last_turn: ")
    assert sorted(last.asked) == ["dim lamp 86400.0", "yes"]
    assert world.vectors.embedders("support") == [f"{A}+last_turn"]


def test_a_query_that_the_embedder_refuses_takes_no_other_with_it(world: World) -> None:
    class Refusing(HashEmbedder):
        def encode(self, texts: Sequence[str]) -> np.ndarray:
            if any("20.0" in text for text in texts):
                raise EmbedderError("the embedder answered 400")
            return super().encode(texts)

    world.answered(30.0, 20.0, 10.0)
    made = world.run(Refusing(64))
    assert (made["new"], made["total"], made["without_vector"]) == (2, 2, 1)
    assert "r20.0-200" in str(made["why_without_vector"])
    assert world.run(HashEmbedder(64))["new"] == 1, "it is tried again"
