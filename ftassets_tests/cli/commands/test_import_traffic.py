"""Rows of a log from elsewhere become traffic, once."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands import import_traffic
from ftassets.config.loop import LoopConfig
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config

VOICE = loop_config("voice")
SPAN = {"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "t", "spanId": "s", "attributes": [
    {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]}]}]}]}  # fmt: skip
PHOENIX = {"name": "chain", "context": {"trace_id": "0x1", "span_id": "0x2"}, "attributes": {"openinference.span.kind": "CHAIN"}}


@pytest.fixture
def log(tmp_path: Path) -> SqliteTrafficLog:
    return SqliteTrafficLog(tmp_path / "traffic.db")


def take(log: SqliteTrafficLog, loop: LoopConfig, paths: Sequence[Path], *settings: str) -> import_traffic.ImportReport:
    return import_traffic.import_traffic(log, loop, paths, *settings, secret="s")


def chat(number: int, **fields: Any) -> str:
    messages = [{"role": "user", "content": f"request {number}"}, {"role": "assistant", "content": "{}"}]
    return json.dumps({"id": number, "messages": messages, "user": "ann", **fields})


AT = 1_700_000_000


def test_a_log_is_imported_once(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([*(chat(n, at=AT + n) for n in range(2500)), "{", chat(1, at=AT + 1), chat(9999)]))
    first = take(log, VOICE, [path], "chat", "old")
    assert (first.read, first.stored, first.already, [bad.where for bad in first.quarantined]) == (2502, 2501, 1, ["line 2501"])
    assert (log.count("voice"), {e.version for e in log.exchanges("voice")}) == (2501, {"old"})
    assert {e.well_formed for e in log.exchanges("voice")} == {VOICE.task.form.well_formed(log.exchanges("voice", limit=1)[0].answer)}
    assert log.exchanges("voice")[-1].at == path.stat().st_mtime  # it said none
    again = take(log, VOICE, [path], "chat", "old")
    assert (again.stored, again.already, log.count("voice")) == (0, 2502, 2501)


@pytest.mark.parametrize("at", [315_532_800.0, 4e9], ids=["1980, as archives write", "the future"])
def test_a_file_with_an_impossible_time_gives_none_to_its_rows(log: SqliteTrafficLog, tmp_path: Path, at: float) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([chat(1, at=AT), chat(2)]))
    os.utime(path, (at, at))
    report = take(log, VOICE, [path], "chat", "old")
    assert report.stored == 1
    [bad] = report.quarantined
    assert "the time of the file, which stands for that of a row without one," in bad.reason


def test_an_import_brings_nothing_back_that_was_forgotten(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=AT) + "\n" + chat(2, at=AT + 2))
    take(log, VOICE, [path], "chat")
    log.forget(request_ids=["chat:1"])
    assert take(log, VOICE, [path], "chat").already == 2
    assert [e.id for e in log.exchanges("voice")] == ["chat:2"]


def test_a_conversation_whose_turns_have_one_id_is_stored_whole(log: SqliteTrafficLog, tmp_path: Path) -> None:
    """As tools write it that log no history: one id, other texts. Also if next week's file goes on with it."""
    turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": "{}"}] for text in ("hello", "off", "on", "dim")]
    first, second = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    first.write_text("\n".join(chat(1, at=AT + n, messages=turns[n]) for n in (0, 1)))
    second.write_text("\n".join(chat(1, at=AT + n, messages=turns[n]) for n in (1, 2, 3)))
    report = take(log, VOICE, [first], "chat")
    assert (report.stored, report.renamed) == (2, 1)
    report = take(log, VOICE, [second], "chat")
    assert (report.stored, report.already, report.renamed) == (2, 1, 3)
    assert [row.prompt for row in log.exchanges("voice")] == ["hello", "off", "on", "dim"]
    for path in (first, second):
        assert take(log, VOICE, [path], "chat").stored == 0


def test_the_same_file_in_two_loops_is_in_both(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(chat(1, at=AT))
    for name in ("voice", "other", "other"):
        take(log, loop_config(name), [path])
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
    report = take(log, texts, [path])
    assert (report.format, report.stored, report.feedback, report.stopped) == ("chat", 4, 2, 1)
    said = {name: (each.rating, each.correction) for name, each in log.feedback_on([f"chat:{n}" for n in range(1, 5)]).items()}
    assert said == {"chat:1": ("up", None), "chat:2": ("down", "better")}
    assert {row.id: row.well_formed for row in log.exchanges("voice")} == {"chat:1": True, "chat:2": True, "chat:3": False, "chat:4": True}
    assert take(log, texts, [path]).feedback == 0
    path.write_text("\n".join([*rows[:3], chat(4, at=AT, rating="down")]))  # said since
    assert take(log, texts, [path]).feedback == 1
    log.forget(request_ids=["chat:1"])
    report = take(log, texts, [path])
    assert (report.stored, report.feedback) == (0, 0)


def test_feedback_that_changed_in_the_tool_counts_and_an_older_file_changes_nothing(log: SqliteTrafficLog, tmp_path: Path) -> None:
    older, newer = tmp_path / "older.jsonl", tmp_path / "newer.jsonl"
    older.write_text(chat(1, at=AT, rating="down", correction="first try", comment="b"))
    newer.write_text(chat(1, at=AT, rating="up", correction="second", comment="c"))
    texts = loop_config("voice", task={"type": "text", "system_prompt": "s"})
    reports = [take(log, texts, [path]) for path in (older, newer, older)]
    assert [each.feedback for each in reports] == [1, 1, 0]
    assert import_traffic.describe(reports[0])[-1] == "1 piece of feedback is new"
    said = log.feedback_on(["chat:1"])["chat:1"]
    assert (said.rating, said.correction, said.comment) == ("up", "second", "c")


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_of_tool_calls_an_answer_that_was_stopped_counts_unless_it_is_whole(log: SqliteTrafficLog, tmp_path: Path, reason: str) -> None:
    path = tmp_path / "log.jsonl"
    half = json.loads(chat(2, at=AT, finish_reason=reason))
    half["messages"][-1]["content"] = '{"intent": "on'
    path.write_text("\n".join([chat(1, at=AT, finish_reason=reason), json.dumps(half), chat(3, at=AT)]))
    report = take(log, VOICE, [path])
    assert report.stopped == 1
    assert "1 answer cut at the token limit, stopped by a filter or refused by the model" in "\n".join(import_traffic.describe(report))
    assert {row.id: row.well_formed for row in log.exchanges("voice")} == {"chat:1": True, "chat:2": False, "chat:3": True}


def test_a_file_without_a_row_is_an_error_that_names_the_format_that_fits(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.json.gz"
    path.write_bytes(gzip.compress(json.dumps([json.loads(chat(1, at=AT))]).encode()))
    with pytest.raises(
        InvalidInput,
        match=r"no row in the format otel, it has rows in another format: --format chat\. Refused records: 1, the first at line 1:",
    ):
        take(log, VOICE, [path], "otel")
    assert take(log, VOICE, [path], "chat").stored == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[]", "has no record"),
        ("a.jsonl", b'{"text": "a"}', "in no known form"),
        ("a.jsonl", b"\n \n", "has no record"),
        ("a.csv", b"id,prompt,answer\n1,a,b\n", "a table with commas"),
        ("a.parquet", b"PAR1\x00\x01", "a Parquet file"),
        ("langfuse.csv", b"id,traceId,name,input,output\no1,t1,chat,a,b\n", "a table with commas of Langfuse: export it as JSON or JSONL"),
        ("spans.csv", b"name,span_kind,context.span_id\nchat,LLM,c1\n", "a table with commas of Phoenix: .* as JSON from its API"),
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
        take(log, VOICE, [path])
    with pytest.raises(InvalidInput, match="has no row|has no record|cut off"):
        take(log, VOICE, [path], "chat")
    assert log.count("voice") == 0


def generation(name: str, trace: str, minute: int) -> str:
    record = {"id": name, "traceId": trace, "type": "GENERATION", "startTime": f"2026-11-01T08:{minute:02}:00Z", "model": "m",
        "input": name, "output": "{}"}  # fmt: skip
    return json.dumps(record)


def score(name: str, value: float, hour: int, **fields: Any) -> str:
    return json.dumps(
        {
            "id": "s",
            "name": name,
            "value": value,
            "dataType": "NUMERIC",
            "source": "ANNOTATION",
            "timestamp": f"2026-11-01T{hour:02}:00:00Z",
        }
        | fields
    )


def test_scores_of_a_file_of_their_own_are_feedback_on_the_answers_of_another_file(log: SqliteTrafficLog, tmp_path: Path) -> None:
    observations, scores = tmp_path / "observations.jsonl", tmp_path / "scores.jsonl"
    observations.write_text("\n".join([generation("a", "t1", 1), generation("b", "t1", 2), generation("c", "t2", 3)]))
    lines = [
        score("user-feedback", 1, 9, traceId="t1"),  # on the last answer of the trace
        score("user-feedback", 1, 9, traceId="t1", observationId="a"),
        score("user-feedback", 0, 11, traceId="t1", observationId="a", comment="late"),
        score("output", 0, 10, traceId="t1", observationId="a", dataType="CORRECTION", stringValue='{"intent": "on"}'),
        score("faithfulness", 0.7, 9, traceId="t1", observationId="a", source="EVAL"),
        score("user-feedback", 1, 9, traceId="t9", observationId="gone"),
        score("stars", 4, 9, traceId="t1", observationId="b"),
    ]
    scores.write_text("\n".join(lines))
    report = take(log, VOICE, [scores, observations])
    assert (report.format, report.read, report.stored, report.assessed, report.feedback) == ("langfuse", 3, 3, 4, 4)
    assert report.left_out == {"the score 'faithfulness' of an evaluator": 1}
    assert [bad.where for bad in report.quarantined] == ["scores.jsonl, line 7", "scores.jsonl, line 6"]
    assert report.quarantined[1].reason.startswith("langfuse:gone: no answer of this name is in these files or known to the log")
    said = log.feedback_on(["langfuse:a", "langfuse:b", "langfuse:c"])
    assert {name: (each.rating, each.correction, each.comment) for name, each in said.items()} == {
        "langfuse:a": ("down", '{"intent": "on"}', "late"),
        "langfuse:b": ("up", None, None),
    }
    again = take(log, VOICE, [observations, scores])
    assert (again.stored, again.assessed, again.feedback) == (0, 4, 0)
    # next week's scores, without the file of the answers: those of an observation find theirs in the log
    scores.write_text(score("user-feedback", 0, 12, traceId="t2", observationId="c"))
    later = take(log, VOICE, [scores])
    assert (later.read, later.assessed, later.feedback) == (0, 1, 1)
    scores.write_text(score("user-feedback", 0, 12, traceId="t2"))
    together = "give the file that has it in the same command, also if it was imported before"
    with pytest.raises(InvalidInput, match=f"nothing is imported: .*{together}.*trace:t2: no answer .*{together}"):
        take(log, VOICE, [scores])
    report = take(log, VOICE, [observations, scores])  # as the message says
    assert (report.stored, report.assessed, report.feedback) == (0, 1, 0)  # the same score as that of its one observation
    log.forget(request_ids=["langfuse:c"])
    report = take(log, VOICE, [observations, scores])
    assert (report.stored, report.assessed, report.feedback) == (0, 0, 0)
    assert "unless it was forgotten" in report.quarantined[0].reason


def test_annotations_find_the_spans_of_an_earlier_import(log: SqliteTrafficLog, tmp_path: Path) -> None:
    def span(name: str, minute: int) -> dict[str, Any]:
        texts = {
            "openinference.span.kind": "LLM", "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": name,
            "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "{}",
        }  # fmt: skip
        times = {"start_time": f"2026-11-01T08:{minute:02}:00Z", "end_time": f"2026-11-01T08:{minute:02}:01Z"}
        return {"name": "chat", "context": {"trace_id": "0xab", "span_id": f"0x{name}"}, "attributes": texts, **times}

    spans, notes = tmp_path / "spans.jsonl", tmp_path / "annotations.jsonl"
    spans.write_text("\n".join(json.dumps(span(name, minute)) for minute, name in enumerate(("c1", "c2"))))
    assert take(log, VOICE, [spans]).stored == 2
    note = {"name": "user_feedback", "annotator_kind": "HUMAN", "result": {"label": "thumbs-up"}, "created_at": "2026-11-01T09:00:00Z"}
    about = [{"span_id": "c1"}, {"trace_id": "ab", "result": {"label": "thumbs-down"}}, {"span_id": "c2", "annotator_kind": "LLM"}]
    notes.write_text("\n".join(json.dumps({**note, **each}) for each in about))
    report = take(log, VOICE, [notes])
    assert (report.format, report.assessed, report.feedback, report.quarantined) == ("openinference", 2, 2, [])
    assert report.left_out == {"the annotation 'user_feedback' of a model": 1}
    said = log.feedback_on(["openinference:ab-c1", "openinference:ab-c2"])
    assert {name: each.rating for name, each in said.items()} == {"openinference:ab-c1": "up", "openinference:ab-c2": "down"}


def test_a_file_with_scores_of_evaluators_only_is_an_error_that_names_them(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_text(score("faithfulness", 0.7, 9, traceId="t", source="EVAL"))
    with pytest.raises(InvalidInput, match=r"no feedback that a person gave: it has the score 'faithfulness' of an evaluator \(1\)"):
        take(log, VOICE, [path])


def test_a_file_with_nothing_to_import_stops_no_other_and_is_told_its_own_reason(log: SqliteTrafficLog, tmp_path: Path) -> None:
    names = ("answers", "empty", "evaluators", "cut", "scores")
    answers, empty, evaluators, cut, scores = (tmp_path / f"{name}.jsonl" for name in names)
    answers.write_text("\n".join([generation("a", "t", 1), json.dumps({**json.loads(generation("b", "t", 2)), "retrieved": "a document"})]))
    empty.write_text("")
    evaluators.write_text(score("faithfulness", 0.7, 9, traceId="t", source="EVAL"))
    cut.write_bytes(gzip.compress((generation("c", "u", 3) + "\n").encode() * 500)[:-20])
    scores.write_text(score("user-feedback", 0, 9, traceId="t"))
    report = take(log, VOICE, [answers, empty, evaluators, cut, scores], "langfuse")
    assert (report.stored, report.assessed, report.quarantined) == (3, 1, [])  # what stands before the damage is taken
    assert report.left_out == {"the field 'retrieved'": 1, "the score 'faithfulness' of an evaluator": 1}
    first, second, third = report.refused
    assert first == f"{empty} has no record"
    assert second == f"{evaluators} has no row and no feedback that a person gave: it has the score 'faithfulness' of an evaluator (1)"
    assert "cut.jsonl is damaged" in third
    with pytest.raises(InvalidInput, match=r"empty.jsonl has no record .*evaluators.jsonl has no row"):
        take(log, VOICE, [empty, evaluators])


@pytest.mark.parametrize("order", [("spans", "logs"), ("logs", "spans")])
def test_spans_and_log_records_in_files_of_their_own_are_joined(log: SqliteTrafficLog, tmp_path: Path, order: tuple[str, str]) -> None:
    ids = {"traceId": "ab", "spanId": "c1"}
    span = {**ids, "name": "chat", "startTimeUnixNano": f"{AT}000000000", "endTimeUnixNano": f"{AT + 2}000000000", "attributes": {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 7, "user.id": "ann"}}  # fmt: skip
    texts = {"gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "on"}]}]),
             "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "{}"}]}])}  # fmt: skip
    details = {**ids, "timeUnixNano": f"{AT + 1}000000000", "eventName": "gen_ai.client.inference.operation.details", "attributes": texts}
    (tmp_path / "spans").write_text(json.dumps(span))
    (tmp_path / "logs").write_text(json.dumps(details) + "\n{\n")
    (tmp_path / "empty").touch()
    report = take(log, VOICE, [*(tmp_path / name for name in order), tmp_path / "empty"], "otel")
    assert (report.stored, [bad.where for bad in report.quarantined]) == (1, ["logs, line 2"])
    assert report.refused == [f"{tmp_path / 'empty'} has no record"]
    [row] = log.exchanges("voice")
    assert (row.version, row.tokens_in, row.latency_ms, row.at, bool(row.user)) == ("m", 7, 2000.0, AT, True)


def test_a_field_with_text_that_is_not_read_is_counted_by_name(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    mail = {"jo@example.com": "x"}
    path.write_text("\n".join(chat(n, at=AT + n, retrieved={"text": "x"}, shard=3, metadata={"a": 1}, **mail) for n in range(3)))
    assert take(log, VOICE, [path]).left_out == {"the field 'retrieved'": 3, "the field '<EMAIL>'": 3}


def test_a_comment_alone_belongs_to_a_thumb_or_a_correction(log: SqliteTrafficLog, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    note = {"dataType": "TEXT", "stringValue": "odd", "traceId": "t1"}
    lines = [
        score("note", 0, 9, observationId="a", **note),
        score("note", 0, 9, observationId="b", **note),
        score("user-feedback", 0, 8, traceId="t1", observationId="a"),
        generation("a", "t1", 1),
        generation("b", "t1", 2),
    ]
    path.write_text("\n".join(lines))
    report = take(log, VOICE, [path])
    assert (report.assessed, report.feedback) == (2, 2)
    assert report.left_out == {"comments of people on answers without a thumb or a correction": 1}
    assert [(name, each.rating, each.comment) for name, each in log.feedback_on(["langfuse:a", "langfuse:b"]).items()] == [
        ("langfuse:a", "down", "odd")
    ]
    assert take(log, VOICE, [path]).feedback == 0
    path.write_text(lines[1])
    with pytest.raises(InvalidInput, match="has comments of people on answers without a thumb or a correction only"):
        take(log, VOICE, [path], "langfuse")
