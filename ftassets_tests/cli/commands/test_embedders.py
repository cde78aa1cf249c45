"""What status and doctor say about embedders: keys, models that do not load, endpoints that do not answer, vectors made again."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.embedder.base import EmbedderError
from ftassets.backends.vector_store.qdrant import QdrantServerVectorStore, QdrantVectorStore
from ftassets.cli.commands.embedders import notes, tried
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import embedder
from ftassets.testing.contracts.vector_store import point
from ftassets.testing.doubles.embeddings import EmbeddingsDouble, embeddings_double
from ftassets.testing.releases import loop_config


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddingsDouble]:
    monkeypatch.setenv("EMBEDDER_KEY", "k3y")
    with embeddings_double() as running:
        yield running


def loop_with(endpoint: EmbeddingsDouble, **more: Any) -> LoopConfig:
    settings = {"type": "openai", "url": endpoint.url, "model": endpoint.model, "api_key_env": "EMBEDDER_KEY", **more}
    return loop_config("support", embedder=settings)


def test_a_missing_key_is_told_without_asking_the_endpoint(
    endpoint: EmbeddingsDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = QdrantVectorStore(tmp_path / "vectors")
    assert notes(loop_with(endpoint), store) == []
    monkeypatch.delenv("EMBEDDER_KEY")
    [note] = notes(loop_with(endpoint), store)
    assert "the environment variable EMBEDDER_KEY, which holds its key, is not set here" in note
    assert notes(loop_config("support"), store) == []
    assert endpoint.asked == []
    assert not (tmp_path / "vectors").exists(), "looking makes nothing"


def test_vectors_that_are_being_made_again_are_told(endpoint: EmbeddingsDouble, tmp_path: Path) -> None:
    store, loop = QdrantVectorStore(tmp_path), loop_with(endpoint)
    store.add("support", "old:1", [point(1)])
    assert notes(loop, store) == [], "one collection is whole"
    assert "vectors are by old:1: the job support__watch makes them and the drift reference again" in tried(loop, store)
    store.add("support", embedder(loop.embedder).id, [point(1)])
    [note] = notes(loop, store)
    assert "vectors are being made again" in note
    assert "old:1" in note
    assert "vectors are being made again" in tried(loop, store)
    store.drop("support", "old:1")
    assert tried(loop, store) == f"{embedder(loop.embedder).id}, 64 dimensions"
    assert notes(loop, store) == []


def test_an_embedder_that_does_not_work_is_told(endpoint: EmbeddingsDouble, tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="answered 404"):
        tried(loop_with(endpoint, model="other"), None)
    missing = loop_config("support", embedder={"type": "sentence_transformers", "model": str(tmp_path / "nothing")})
    with pytest.raises(EmbedderError, match="is neither a folder here nor a hub id"):
        tried(missing, None)


def test_a_store_that_does_not_answer_hides_nothing_else(endpoint: EmbeddingsDouble) -> None:
    store = QdrantServerVectorStore("http://127.0.0.1:9")
    assert tried(loop_with(endpoint), store).endswith("64 dimensions")
    [note] = notes(loop_with(endpoint), store)
    assert "no answer of Qdrant" in note


def test_golden_requests_in_a_script_it_cannot_read_are_told(tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    asked = ("เปิดไฟในห้องนั่งเล่น", "turn the light on")
    rows = [[{"role": "user", "content": text}, {"role": "assistant", "content": "yes"}] for text in asked]
    golden.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in rows))
    loop = loop_config("support", golden_set=str(golden))
    assert "it has no words for 1 of 2 golden requests" in tried(loop, None)
