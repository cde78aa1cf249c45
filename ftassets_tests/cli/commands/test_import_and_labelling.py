"""Rows from outside: logs into the traffic, batches to annotators and back, a teacher's examples."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ftassets.assets._shared.dataset_files import from_parquet, labels_path, pack_arrays, reference_path
from ftassets.assets.synthetic_examples import synthesise as ask_teacher
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.teacher.base import TeacherError
from ftassets.backends.teacher.openai import OpenAITeacher
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.backends.vector_store.base import QueryVector
from ftassets.backends.vector_store.qdrant import QdrantVectorStore
from ftassets.cli.commands import import_traffic, labelling
from ftassets.config.loop import LoopConfig
from ftassets.domain.dataset.rows import Example
from ftassets.domain.drift import build_reference
from ftassets.domain.traffic.exchange import Exchange, Feedback
from ftassets.testing.doubles.teacher import completion, scripted_teacher
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


def chat(number: int, **fields: Any) -> str:
    messages = [{"role": "user", "content": f"request {number}"}, {"role": "assistant", "content": "{}"}]
    return json.dumps({"id": number, "messages": messages, "user": "ann", **fields})


def test_a_log_is_imported_once(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*(chat(n, at=n) for n in range(2500)), "{", chat(1, at=1), chat(9999)]))
    first = import_traffic.import_traffic(log, "voice", path, "chat", "old")
    assert (first.read, first.stored, first.already, [bad.where for bad in first.quarantined]) == (2502, 2501, 1, ["line 2501"])
    assert (log.count("voice"), {e.version for e in log.exchanges("voice")}) == (2501, {"old"})
    assert log.exchanges("voice")[-1].at == path.stat().st_mtime  # it said none
    again = import_traffic.import_traffic(log, "voice", path, "chat", "old")
    assert (again.stored, again.already, log.count("voice")) == (0, 2502, 2501)


def test_an_import_brings_nothing_back_that_was_forgotten(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=1) + "\n" + chat(2, at=2))
    import_traffic.import_traffic(log, "voice", path, "chat")
    log.forget(request_ids=["chat:1"])
    assert import_traffic.import_traffic(log, "voice", path, "chat").already == 2
    assert [e.id for e in log.exchanges("voice")] == ["chat:2"]


def exchange(name: str, prompt: str, version: str = "prod", answer: str = '{"intent": "on"}') -> Exchange:
    return Exchange(name, "voice", version, "u", prompt, "[]", answer, 200, 10.0, 1.0, None, None, None, 1.0)


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
        exchange("liked", "start the robot mower"),
    ]
    log.append(asked)
    log.add_feedback(Feedback("liked", 11.0, "up", None))
    points = [
        QueryVector(e.id, e.at, e.version, e.prompt, v) for e, v in zip(asked, embedder.embed([e.prompt for e in asked]), strict=True)
    ]
    vectors.add("voice", embedder.id, points)

    new = labelling.novelty(vectors, store, "voice", "prod", 0.0)
    assert new is not None
    assert new.distances["far"] > new.novel_above >= new.distances["usual"]
    text = labelling.label_export(log, store, loop(), "jsonl", 10, 0.0, {"canary"}, new)
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["request_id"], line["why"]) for line in lines] == [("failed", "failed"), ("far", "novel"), ("usual", "random")]

    lines[0]["completion"], lines[1]["completion"] = '{"intent": "on"}', "no idea"
    answered = "\n".join(json.dumps({**line, "annotator": "ann"}) for line in lines)
    report = labelling.label_import(store, loop(), answered, "jsonl", "b1", "run-1")
    assert (report.rows, sorted(bad.reason for bad in report.quarantined)) == (
        1,
        ["nobody answered it", "the answer is not a JSON object"],
    )
    (row,) = from_parquet(store.read(report.commit, labels_path("voice", "b1")))
    assert (row.request_id, row.source, row.completion) == ("failed", "label", '{"intent": "on"}')
    assert labelling.label_import(store, loop(), answered, "jsonl", "b1", "run-2").commit == report.commit

    assert "failed" not in labelling.label_export(log, store, loop(), "jsonl", 10, 0.0, {"canary"}, new)


def test_without_a_reference_nothing_counts_as_new(log: SqliteTrafficLog, store: GitDatasetStore, tmp_path: Path) -> None:
    assert labelling.novelty(QdrantVectorStore(tmp_path / "vectors"), store, "voice", "prod", 0.0) is None
    log.append([exchange("far", "order forty pizzas")])
    assert json.loads(labelling.label_export(log, store, loop(), "argilla", 10, 0.0))[0]["metadata"]["why"] == "random"


def test_distances_of_two_embedders_are_not_compared(store: GitDatasetStore, tmp_path: Path) -> None:
    vectors = QdrantVectorStore(tmp_path / "vectors")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 8))
    reference = build_reference(rows / np.linalg.norm(rows, axis=1, keepdims=True), "other").to_arrays()
    store.publish("r", {reference_path("voice", "prod"): pack_arrays(**reference)}, "reference", {})
    vectors.add("voice", "e", [QueryVector("q", 1.0, "prod", "p", HashEmbedder().embed(["p"])[0])])
    with pytest.raises(ValueError, match="different embedders"):
        labelling.novelty(vectors, store, "voice", "prod", 0.0)


LABELLED = json.dumps({"request_id": "r1", "prompt": "p", "completion": "{}", "annotator": "a"})


@pytest.mark.parametrize("batch", ["../golden", "", "a/b", "x" * 65])
def test_a_batch_needs_a_plain_name(store: GitDatasetStore, batch: str) -> None:
    with pytest.raises(ValueError, match="no name for a batch"):
        labelling.label_import(store, loop(), LABELLED, "jsonl", batch, "run-1")
    assert store.list("main") == []


def test_a_batch_without_a_usable_label_is_no_commit(store: GitDatasetStore) -> None:
    with pytest.raises(ValueError, match="nobody answered it"):
        labelling.label_import(store, loop(), LABELLED.replace('"{}"', '""'), "jsonl", "b1", "run-1")
    with pytest.raises(ValueError, match="forgotten"):
        labelling.label_import(store, loop(), LABELLED, "jsonl", "b1", "run-1", forgotten={"r1"})
    assert store.list("main") == []


def row(number: int, intent: str) -> Example:
    return Example(id=f"{intent}{number}", prompt=f"{intent} the lamp {number}", completion=json.dumps({"intent": intent}))


ROWS = [*(row(n, "on") for n in range(4)), row(0, "dim"), row(0, "off"), row(0, "wink")]  # dim, off and wink are rare


def lines(intent: str, *prompts: str) -> str:
    return "\n".join(json.dumps({"kind": "typical", "prompt": prompt, "completion": {"intent": intent}}) for prompt in prompts)


def synthesise(*script: Response) -> tuple[list[Example], list[Any], int]:
    with scripted_teacher(*script) as server:
        config = loop(server.url)
        assert config.dataset.teacher is not None
        rows, bad = ask_teacher(OpenAITeacher(config.dataset.teacher, backoff=0.01), ROWS, config)
        return rows, bad, len(server.asked)


def test_a_teacher_fills_the_rare_classes() -> None:
    rows, bad, asked = synthesise(
        JSONResponse({}, 429, {"retry-after": "0"}),
        completion(lines("dim", "less light", "dim the lamp 0")),  # the second one is known
        completion(None, refusal="no"),
        completion("Sorry, what?\n" + lines("wink", "less light", "wink at me")),  # written for dim already
    )
    assert [(r.prompt, r.source) for r in rows] == [("less light", "synthetic"), ("wink at me", "synthetic")]
    assert [b.where for b in bad] == ["teacher:dim:2", "teacher:off", "teacher:wink:1", "teacher:wink:2"]
    assert ["exists already" in b.reason for b in bad] == [True, False, False, True]
    assert asked == 4
    assert len({r.group for r in rows}) == 2


def test_what_a_teacher_wrote_is_kept_when_it_goes_away() -> None:
    rows, bad, _ = synthesise(completion(lines("dim", "less light")), PlainTextResponse("no more credit", 402))
    assert [r.prompt for r in rows] == ["less light"]
    assert [(b.where, "402" in b.reason) for b in bad] == [("teacher:off", True), ("teacher:wink", True)]


def test_a_teacher_that_cannot_be_asked_at_all_fails() -> None:
    with pytest.raises(TeacherError, match="401"):
        synthesise(PlainTextResponse("who are you", 401))
