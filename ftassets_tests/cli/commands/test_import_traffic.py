"""Rows of a log from elsewhere become traffic, once."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands import import_traffic
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config

VOICE = loop_config("voice")
SPAN = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "t", "spanId": "s", "attributes": [
    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}]}]}]}  # fmt: skip
PHOENIX = {"name": "chain", "context": {"trace_id": "0x1", "span_id": "0x2"}, "attributes": {"openinference.span.kind": "CHAIN"}}


@pytest.fixture
def log(tmp_path: Path) -> SqliteTrafficLog:
    return SqliteTrafficLog(tmp_path / "traffic.db")


def chat(number: int, **fields: Any) -> str:
    messages = [{"role": "user", "content": f"request {number}"}, {"role": "assistant", "content": "{}"}]
    return json.dumps({"id": number, "messages": messages, "user": "ann", **fields})


AT = 1_700_000_000


def test_a_log_is_imported_once(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*(chat(n, at=AT + n) for n in range(2500)), "{", chat(1, at=AT + 1), chat(9999)]))
    first = import_traffic.import_traffic(log, VOICE, path, "chat", "old")
    assert (first.read, first.stored, first.already, [bad.where for bad in first.quarantined]) == (2502, 2501, 1, ["line 2501"])
    assert (log.count("voice"), {e.version for e in log.exchanges("voice")}) == (2501, {"old"})
    assert {e.well_formed for e in log.exchanges("voice")} == {VOICE.task.form.well_formed(log.exchanges("voice", limit=1)[0].answer)}
    assert log.exchanges("voice")[-1].at == path.stat().st_mtime  # it said none
    again = import_traffic.import_traffic(log, VOICE, path, "chat", "old")
    assert (again.stored, again.already, log.count("voice")) == (0, 2502, 2501)


def test_an_import_brings_nothing_back_that_was_forgotten(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=AT) + "\n" + chat(2, at=AT + 2))
    import_traffic.import_traffic(log, VOICE, path, "chat")
    log.forget(request_ids=["chat:1"])
    assert import_traffic.import_traffic(log, VOICE, path, "chat").already == 2
    assert [e.id for e in log.exchanges("voice")] == ["chat:2"]


def test_a_conversation_whose_turns_have_one_id_is_stored_whole(log: SqliteTrafficLog, tmp_path: Path) -> None:
    """As tools write it that log no history: one id, other texts. Also if next week's file goes on with it."""
    turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": "{}"}] for text in ("hello", "off", "on", "dim")]
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text("\n".join(chat(1, at=AT + n, messages=turns[n]) for n in (0, 1)))
    second.write_text("\n".join(chat(1, at=AT + n, messages=turns[n]) for n in (1, 2, 3)))
    report = import_traffic.import_traffic(log, VOICE, first, "chat")
    assert (report.stored, report.renamed) == (2, 1)
    report = import_traffic.import_traffic(log, VOICE, second, "chat")
    assert (report.stored, report.already, report.renamed) == (2, 1, 3)
    assert [row.prompt for row in log.exchanges("voice")] == ["hello", "off", "on", "dim"]
    for path in (first, second):
        assert import_traffic.import_traffic(log, VOICE, path, "chat").stored == 0


def test_the_same_file_in_two_loops_is_in_both(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=AT))
    for name in ("voice", "other", "other"):
        import_traffic.import_traffic(log, loop_config(name), path)
    assert (log.count("voice"), log.count("other")) == (1, 1)


def test_what_people_said_comes_along_and_an_answer_that_was_cut_is_counted(log: SqliteTrafficLog, tmp_path: Path) -> None:
    texts = loop_config("voice", task={"type": "text", "system_prompt": "s"})
    path = tmp_path / "log.jsonl"
    rows = [
        chat(1, at=AT, rating="up"),
        chat(2, at=AT, rating="down", correction="better"),
        chat(3, at=AT, finish_reason="length"),
        chat(4, at=AT),
    ]
    path.write_text("\n".join(rows))
    report = import_traffic.import_traffic(log, texts, path)
    assert (report.format, report.stored, report.feedback, report.cut) == ("chat", 4, 2, 1)
    said = {name: (each.rating, each.correction) for name, each in log.feedback_on([f"chat:{n}" for n in range(1, 5)]).items()}
    assert said == {"chat:1": ("up", None), "chat:2": ("down", "better")}
    assert {row.id: row.well_formed for row in log.exchanges("voice")} == {"chat:1": True, "chat:2": True, "chat:3": False, "chat:4": True}
    assert import_traffic.import_traffic(log, texts, path).feedback == 0
    path.write_text("\n".join([*rows[:3], chat(4, at=AT, rating="down")]))  # said since
    assert import_traffic.import_traffic(log, texts, path).feedback == 1
    log.forget(request_ids=["chat:1"])
    report = import_traffic.import_traffic(log, texts, path)
    assert (report.stored, report.feedback) == (0, 0)


def test_a_file_without_a_row_is_an_error_that_names_the_format_that_fits(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(json.dumps([json.loads(chat(1, at=AT))]).encode()))
    with pytest.raises(
        InvalidInput,
        match=r"no row in the format otel, it has rows in another format: --format chat\. Refused records: 1, the first at line 1:",
    ):
        import_traffic.import_traffic(log, VOICE, path, "otel")
    assert import_traffic.import_traffic(log, VOICE, path, "chat").stored == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[]", "has no record"),
        ("a.jsonl", b'{"text": "a"}', "in no known form"),
        ("a.jsonl", b"\n \n", "has no record"),
        ("a.csv", b"id,prompt,answer\n1,a,b\n", "a table with commas"),
        ("a.parquet", b"PAR1\x00\x01", "a Parquet file"),
        ("a.zip", b"PK\x03\x04", "a zip archive"),
        ("a.db", b"SQLite format 3\x00", "an SQLite database"),
        ("seed.jsonl", b'{"instruction": "a", "output": "b"}', "training rows, not a log"),
        ("alpaca.jsonl", b'{"instruction": "a", "input": "b", "output": "c"}', "training rows, not a log"),
        ("a.json", b'[{"data": {"prompt": "a"}, "annotations": []}]', "Label Studio.*label import --format label_studio"),
        ("a.json", b'[{"id": "1", "fields": {}, "responses": {}}]', "Argilla.*label import --format argilla"),
        ("a.jsonl", b'{"request_id": "1", "completion": "b"}', "a labelling batch"),
        (
            "spans.jsonl",
            json.dumps(SPAN).encode(),
            r"no row in the format otel, it is probably spans .* OpenTelemetry.*they were not logged",
        ),
        ("phoenix.jsonl", json.dumps(PHOENIX).encode(), "no row in the format openinference, .*a span of kind CHAIN"),
        (
            "trace.json",
            b'{"info": {"trace_id": "t"}, "data": {"spans": []}}',
            "no row in the format mlflow, it is probably traces of MLflow",
        ),
        ("page.json", b'{"data": [{"id": "1", "traceId": "t", "type": "SPAN", "input": "a"}]}', "langfuse.*an observation of type SPAN"),
        ("cut.json", b'[{"id": 1}, {"id"', "the JSON array is cut off"),
        ("dpo.jsonl", b'{"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}', "no row in the format openai"),
    ],
)
def test_a_file_without_a_row_names_what_it_probably_is(
    log: SqliteTrafficLog, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        import_traffic.import_traffic(log, VOICE, path)
    with pytest.raises(InvalidInput, match="has no row|has no record|cut off"):
        import_traffic.import_traffic(log, VOICE, path, "chat")
    assert log.count("voice") == 0
