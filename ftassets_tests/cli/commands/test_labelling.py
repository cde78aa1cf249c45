"""Batches that go to annotators and come back as rows."""

import json
import uuid
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ftassets.assets._shared.dataset_files import (
    from_parquet,
    labels_path,
    pack_arrays,
    read_labels,
    readable,
    reference_path,
    seed_path,
    to_parquet,
)
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.cli.commands import labelling
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import question, texts
from ftassets.domain.dataset.labelling import parse
from ftassets.domain.dataset.rows import Example
from ftassets.domain.drift import build_reference
from ftassets.domain.file_formats import LABELS
from ftassets.domain.traffic.exchange import Exchange, hashed_user, keyed_user
from ftassets.domain.traffic.feedback import Feedback
from ftassets.errors import InvalidInput
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
    assert batch.kinds == {"failed": 1, "novel": 1, "random": 1}
    assert [(line["request_id"], line["why"]) for line in lines] == [("failed", "failed"), ("far", "novel"), ("usual", "random")]

    lines[0]["completion"], lines[1]["completion"] = '{"intent": "on"}', "no idea"
    answered = "\n".join(json.dumps({**line, "annotator": "ann"}) for line in lines)
    report = labelling.label_import(log, store, loop(), answered, "jsonl", None, "run-1")
    assert (report.added, sorted(bad.reason for bad in report.quarantined)) == (
        1,
        ["no annotator answered it", "the answer is not a JSON object"],
    )
    (row,) = from_parquet(store.read(report.commit, labels_path("voice", batch.id)))
    assert (row.request_id, row.source, row.completion) == ("failed", "label", '{"intent": "on"}')
    assert texts(row.messages) == ["hello", "What shall I do?", "turn on the blue lamp in the hall"]
    again = labelling.label_import(log, store, loop(), answered, "jsonl", "b1", "run-2")
    assert (again.commit, again.added, again.replaced, again.unchanged) == (report.commit, 0, 0, 1)

    assert "failed" not in labelling.label_export(log, store, loop(), "jsonl", 10, 0.0, {"canary"}, new).text


def test_an_annotator_has_the_hash_of_a_user_of_that_name(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    def row(number: int) -> str:
        request = {"request_id": f"ext{number}", "messages": [{"role": "user", "content": f"external request {number}"}], "batch": "b"}
        return json.dumps({**request, "completion": "{}", "annotator": "ann"})

    def users(commit: str) -> dict[str | None, str | None]:
        return {row.request_id: row.user for row in from_parquet(store.read(commit, labels_path("voice", "b")))}

    keyed = keyed_user(hashed_user("ann"), "salt")
    first = labelling.label_import(log, store, loop(), row(1), "jsonl", None, "run-1", "salt")
    assert users(first.commit) == {"ext1": keyed}
    stored = from_parquet(store.read("main", labels_path("voice", "b")))
    earlier = to_parquet([each.model_copy(update={"user": hashed_user("ann")}) for each in stored])  # as earlier releases stored it
    store.publish("run-2", {labels_path("voice", "b"): earlier}, "labels", {"loop": "voice"})
    again = labelling.label_import(log, store, loop(), row(1), "jsonl", None, "run-3", "salt")
    assert (again.unchanged, users(again.commit)) == (1, {"ext1": keyed})


@pytest.mark.parametrize("at", [0, 4_070_908_800, 1e300])
def test_a_label_of_an_impossible_time_is_refused(log: SqliteTrafficLog, store: GitDatasetStore, at: float) -> None:
    row = {"request_id": "ext1", "messages": [{"role": "user", "content": "external request"}], "completion": "{}", "at": at}
    with pytest.raises(InvalidInput, match="its time cannot be right"):
        labelling.label_import(log, store, loop(), json.dumps(row), "jsonl", "b", "run-1")


@pytest.mark.parametrize("field", ["status", "draft", "skip", "remark", "system"])
def test_a_field_of_a_label_that_would_be_lost_is_refused_by_name(log: SqliteTrafficLog, store: GitDatasetStore, field: str) -> None:
    row = {"request_id": "ext1", "messages": [{"role": "user", "content": "external request"}], "completion": "{}"}
    with pytest.raises(InvalidInput, match=f"the field '{field}' cannot be used"):
        labelling.label_import(log, store, loop(), json.dumps({**row, field: "discarded"}), "jsonl", "b", "run-1")
    kept = json.dumps({**row, field: False, "metadata": {"comment": "sure"}})
    assert labelling.label_import(log, store, loop(), kept, "jsonl", "b", "run-2").added == 1


def test_a_name_in_the_messages_of_a_file_is_not_dropped_in_silence(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    row = {"request_id": "ext1", "messages": [{"role": "user", "name": "kim", "content": "external request"}], "completion": "{}"}
    with pytest.raises(InvalidInput, match="has no messages of it"):
        labelling.label_import(log, store, loop(), json.dumps(row), "jsonl", "b", "run-1")


def test_a_file_of_another_tool_is_named(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    record = {
        "id": "ext1",
        "status": "completed",
        "prompt": "x",
        "completion.responses": ["{}"],
        "completion.responses.status": ["submitted"],
    }
    with pytest.raises(InvalidInput, match="it is probably records of Argilla: `ftassets label import --format argilla` takes it"):
        labelling.label_import(log, store, loop(), json.dumps([record], indent=1), "jsonl", None, "run-1")
    labels, bad = parse(json.dumps({"items": [record], "total": 1}), "argilla")
    assert ([label.request_id for label in labels], bad) == (["ext1"], [])


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


def labelled(**answers: str) -> str:
    """A file of annotators, as they write it by hand, without the batch."""
    return "\n".join(json.dumps({"request_id": name, "completion": text, "annotator": "ann"}) for name, text in answers.items())


def stored(store: GitDatasetStore) -> dict[str, str]:
    return {row.request_id or "": row.completion for row in read_labels(store, "main", "voice")}


def test_next_weeks_file_of_the_same_name_adds(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    log.append([exchange(name, f"request {name}") for name in ("r1", "r2", "r3")])

    def take(text: str, batch: str | None = None) -> tuple[int, int, int, int]:
        report = labelling.label_import(log, store, loop(), text, "jsonl", batch, f"run-{uuid.uuid4().hex}")
        counted.append((report.agree, report.disagree))
        return report.added, report.replaced, report.unchanged, len(report.quarantined)

    counted: list[tuple[int, int]] = []
    assert take(labelled(r1="{}", r2='{"a": 1}')) == (2, 0, 0, 0)
    assert take(labelled(r3='{"a": 3}', r2='{"a": 2}')) == (1, 1, 0, 0)
    assert stored(store) == {"r1": "{}", "r2": '{"a": 2}', "r3": '{"a": 3}'}
    assert take(labelled(r3='{"a": 3}', r1="none"), "another-name") == (0, 0, 1, 1)
    assert take(labelled(r1="{}").replace('"ann"', '"bob"', 1)) == (1, 0, 0, 0), "another annotator agrees"
    assert take(labelled(r1='{"a": 9}').replace('"ann"', '"bob"')) == (0, 0, 0, 1), "another annotator does not agree"
    assert counted == [(0, 0), (0, 0), (0, 0), (1, 0), (0, 1)]
    assert stored(store) == {"r1": "{}", "r2": '{"a": 2}', "r3": '{"a": 3}'}


@pytest.mark.parametrize("format", LABELS)
def test_records_of_two_batches_in_one_file_go_to_their_batches(log: SqliteTrafficLog, store: GitDatasetStore, format: str) -> None:
    log.append([exchange("r1", "turn on the lamp"), exchange("r2", "order forty pizzas")])
    one, two = (labelling.label_export(log, store, loop(), format, 1, 0.0, seed=seed) for seed in (0, 1))
    assert one.id != two.id
    if format == "jsonl":
        rows = [json.loads(text) | {"completion": "{}"} for text in (one.text, two.text)]
        text = "\n".join(map(json.dumps, rows))
    else:
        answer = {"result": [{"from_name": "completion", "value": {"text": ["{}"]}}]}
        records = [record for batch in (one, two) for record in json.loads(batch.text)]
        done = (
            {"responses": {"completion": [{"value": "{}", "user_id": "a", "status": "submitted"}]}}
            if format == "argilla"
            else {"annotations": [answer]}
        )
        text = json.dumps([{**record, **done} for record in records])
    report = labelling.label_import(log, store, loop(), text, format, "ignored", "run")
    assert (report.added, report.quarantined) == (2, [])
    assert store.list("main", "voice/labels/") == sorted(labels_path("voice", batch.id) for batch in (one, two))


def test_a_batch_id_that_no_export_wrote_is_refused_with_its_row(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    log.append([exchange("r1", "turn on the lamp"), exchange("r2", "order forty pizzas")])
    rows = [{"request_id": "r1", "completion": "{}", "batch": "../golden"}, {"request_id": "r2", "completion": "{}", "batch": "week-1"}]
    report = labelling.label_import(log, store, loop(), "\n".join(map(json.dumps, rows)), "jsonl", None, "run")
    assert (report.added, [bad.reason for bad in report.quarantined]) == (1, ["'../golden' is not the id of a batch"])


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
    assert labelling.label_export(log, store, loop(), "jsonl", 9, 0.0).kinds == {"conflict": 1}, "all others are corrected"
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


def test_a_stored_label_that_is_none_by_todays_rules_stops_no_import_and_stays(log: SqliteTrafficLog, store: GitDatasetStore) -> None:
    log.append([exchange("old", "turn on the lamp"), exchange("new", "stop the robot mower")])
    old = Example(id="label:b:old", messages=question("x"), completion="{}", source="label", request_id="old")
    old = old.model_copy(update={"tools": "[" * 200 + "]" * 200})  # as an earlier release stored it
    store.publish("old", {labels_path("voice", "b"): to_parquet([old])}, "labels", {})
    line = json.dumps({"request_id": "new", "completion": "{}", "batch": "b", "annotator": "ann"})
    report = labelling.label_import(log, store, loop(), line, "jsonl", None, "run")
    assert (report.added, report.quarantined) == (1, [])
    rows, bad = readable(store.read(report.commit, labels_path("voice", "b")))
    assert ([row.request_id for row in rows], [row.where for row in bad]) == (["new"], ["label:label:b:old"])


@pytest.mark.parametrize("format", LABELS)
def test_annotators_see_the_comment_of_a_user(log: SqliteTrafficLog, store: GitDatasetStore, format: str) -> None:
    log.append([exchange("r1", "turn on the lamp"), exchange("r2", "order forty pizzas")])
    log.add_feedback(Feedback("r1", 1.0, "down", None, "opens the wrong door"))
    text = labelling.label_export(log, store, loop(), format, 10, 0.0).text
    assert text.count("opens the wrong door") == 1
