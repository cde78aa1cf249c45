"""Batches that go to annotators and come back as rows."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import from_parquet, labels_path, pack_arrays, reference_path, seed_path, to_parquet
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.cli.commands import labelling
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question, texts
from ftassets.domain.dataset.rows import Example
from ftassets.domain.drift import build_reference
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.testing.hash_embedder import HashEmbedder


def loop(url: str | None = None) -> LoopConfig:
    teacher = {"teacher": {"url": url, "model": "large", "rare_below": 3, "rows_per_class": 5}} if url else {}
    return LoopConfig.model_validate(
        {
            "name": "voice",
            "base_model": "base",
            "task": {"system_prompt": "Answer as JSON."},
            "dataset": {"seed": Path("seed.jsonl"), **teacher},
            "golden_set": Path("golden.jsonl"),
            "gates": [{"metric": "exact_match", "better_than": "production"}],
        }
    )


@pytest.fixture
def log(tmp_path: Path) -> SqliteTrafficLog:
    return SqliteTrafficLog(tmp_path / "traffic.db")


@pytest.fixture
def store(tmp_path: Path) -> GitDatasetStore:
    return GitDatasetStore(tmp_path / "datasets.git")


BEFORE = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "What shall I do?"}]


def exchange(name: str, prompt: str, version: str = "prod", answer: str = '{"intent": "on"}') -> Exchange:
    return Exchange(
        name,
        "voice",
        version,
        "u",
        prompt,
        json.dumps([*BEFORE, {"role": "user", "content": prompt}]),
        answer,
        200,
        10.0,
        1.0,
        None,
        None,
        None,
        1.0,
    )


def test_a_batch_goes_out_with_what_failed_and_what_is_new_first_and_comes_back_as_rows(
    log: SqliteTrafficLog, store: GitDatasetStore, tmp_path: Path
) -> None:
    embedder, vectors = HashEmbedder(), QdrantVectorStore(tmp_path / "vectors")
    known = [f"turn on the {colour} lamp in the {room}" for colour in ("red", "blue", "amber") for room in ("hall", "attic", "office")]
    reference = build_reference(embedder.embed(known), embedder.id).to_arrays()
    store.publish("r", {reference_path("voice", "prod"): pack_arrays(**reference)}, "reference", {})
    asked = [
        exchange("usual", "turn on the red lamp in the office"),
        exchange("far", "order forty pizzas with extra cheese"),
        exchange("failed", "turn on the blue lamp in the hall", "canary", "of course!"),
        exchange("rated_up", "start the robot mower"),
    ]
    log.append(asked)
    log.add_feedback(Feedback("rated_up", 11.0, "up", None))
    points = [
        QueryVector(e.id, e.at, e.version, e.prompt, v) for e, v in zip(asked, embedder.embed([e.prompt for e in asked]), strict=True)
    ]
    vectors.add("voice", embedder.id, points)

    new = labelling.novelty(vectors, store, "voice", "prod", 0.0)
    assert new is not None
    assert new.distances["far"] > new.novel_above >= new.distances["usual"]
    batch = labelling.label_export(log, store, loop(), "jsonl", 10, 0.0, {"canary"}, new)
    lines = [json.loads(line) for line in batch.text.splitlines()]
    assert batch.requests == len(lines)
    assert [(line["request_id"], line["why"]) for line in lines] == [("failed", "failed"), ("far", "novel"), ("usual", "random")]

    lines[0]["completion"], lines[1]["completion"] = '{"intent": "on"}', "no idea"
    answered = "\n".join(json.dumps({**line, "annotator": "ann"}) for line in lines)
    report = labelling.label_import(log, store, loop(), answered, "jsonl", "b1", "run-1")
    assert (report.rows, sorted(bad.reason for bad in report.quarantined)) == (
        1,
        ["no annotator answered it", "the answer is not a JSON object"],
    )
    (row,) = from_parquet(store.read(report.commit, labels_path("voice", "b1")))
    assert (row.request_id, row.source, row.completion) == ("failed", "label", '{"intent": "on"}')
    assert texts(row.messages) == ["hello", "What shall I do?", "turn on the blue lamp in the hall"]
    assert labelling.label_import(log, store, loop(), answered, "jsonl", "b1", "run-2").commit == report.commit

    assert "failed" not in labelling.label_export(log, store, loop(), "jsonl", 10, 0.0, {"canary"}, new).text


def test_without_a_reference_nothing_counts_as_new(log: SqliteTrafficLog, store: GitDatasetStore, tmp_path: Path) -> None:
    assert labelling.novelty(QdrantVectorStore(tmp_path / "vectors"), store, "voice", "prod", 0.0) is None
    log.append([exchange("far", "order forty pizzas")])
    assert json.loads(labelling.label_export(log, store, loop(), "argilla", 10, 0.0).text)[0]["metadata"]["why"] == "random"


def test_distances_of_two_embedders_are_not_compared(store: GitDatasetStore, tmp_path: Path) -> None:
    vectors = QdrantVectorStore(tmp_path / "vectors")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 8))
    reference = build_reference(rows / np.linalg.norm(rows, axis=1, keepdims=True), "other").to_arrays()
    store.publish("r", {reference_path("voice", "prod"): pack_arrays(**reference)}, "reference", {})
    vectors.add("voice", "e", [QueryVector("q", 1.0, "prod", "p", HashEmbedder().embed(["p"])[0])])
    known = labelling.novelty(vectors, store, "voice", "prod", 0.0)
    assert known is not None
    assert known.distances == {}


LABELLED = json.dumps({"request_id": "r1", "prompt": "p", "completion": "{}", "annotator": "a"})


@pytest.mark.parametrize("batch", ["../golden", "", "a/b", "x" * 65])
def test_a_batch_needs_a_plain_name(log: SqliteTrafficLog, store: GitDatasetStore, batch: str) -> None:
    with pytest.raises(ValueError, match="not a name for a batch"):
        labelling.label_import(log, store, loop(), LABELLED, "jsonl", batch, "run-1")
    assert store.list("main") == []


def test_a_batch_without_a_usable_label_is_no_commit(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    with pytest.raises(ValueError, match="no annotator answered it"):
        labelling.label_import(log, store, loop(), LABELLED.replace('"{}"', '""'), "jsonl", "b1", "run-1")
    with pytest.raises(ValueError, match="the traffic log has no such request"):
        labelling.label_import(log, store, loop(), LABELLED, "jsonl", "b1", "run-1")
    log.forget(request_ids=["r1"])
    with pytest.raises(ValueError, match="forgotten"):
        labelling.label_import(log, store, loop(), LABELLED, "jsonl", "b1", "run-1")
    assert store.list("main") == []


def test_conflicts_of_the_next_dataset_make_a_batch_and_a_label_settles_them(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    log.append(
        [
            exchange("a", "dim the hall lamp"),
            replace(exchange("b", "Dim the hall lamp"), user="other"),
            exchange("c", "close the kitchen blinds"),
        ]
    )
    for name, correction in (("a", '{"intent": "dim"}'), ("b", '{"intent": "off"}'), ("c", '{"intent": "close"}')):
        log.add_feedback(Feedback(name, 20.0, None, correction))
    batch = labelling.conflict_export(log, store, loop(), "jsonl", 9, 0.0)
    [line] = map(json.loads, batch.text.splitlines())
    assert (batch.requests, line["why"]) == (1, "conflict")
    assert line["request_id"] in ("a", "b")
    assert labelling.label_export(log, store, loop(), "jsonl", 9, 0.0).requests == 0, "all of them are corrected"
    line |= {"completion": '{"intent": "dim"}', "annotator": "ann"}
    labelling.label_import(log, store, loop(), json.dumps(line), "jsonl", "conflicts", "run1")
    assert labelling.conflict_export(log, store, loop(), "jsonl", 9, 0.0).requests == 0


def test_conflicts_with_the_seed_are_in_the_batch_and_those_within_it_are_not(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    seed = [
        Example(id=f"s{n}", messages=question(text), completion=json.dumps({"intent": intent}))
        for n, (text, intent) in enumerate([("dim the hall lamp", "on"), ("open the blinds", "a"), ("open the blinds", "b")])
    ]
    store.publish("seed", {seed_path("voice"): to_parquet(seed)}, "seed", {})
    log.append([replace(exchange("a", "dim the hall lamp"), messages=json.dumps([{"role": "user", "content": "dim the hall lamp"}]))])
    log.add_feedback(Feedback("a", 20.0, None, '{"intent": "dim"}'))
    batch = labelling.conflict_export(log, store, loop(), "jsonl", 9, 0.0)
    assert [json.loads(line)["request_id"] for line in batch.text.splitlines()] == ["a"]
