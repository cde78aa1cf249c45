"""Logs of other systems: what becomes an exchange, what is quarantined, and that ids stay."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import ToolCall
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.file_formats import TRAFFIC
from ftassets.domain.traffic.exchange import Exchange, hashed_user
from ftassets.domain.traffic.exchange import asked_of as exchange_asked
from ftassets.domain.traffic.imports import Assessed, Row, fitting, read

AT = 1_700_000_000.25
NOW = AT + 86_400
ISO = "2023-11-14T22:13:20.250Z"
CALL = '{"intent":"on"}'  # as the model wrote it: without spaces
ASK = {"role": "user", "content": "lights on"}
SYSTEM = {"role": "system", "content": "Answer as JSON."}
ANSWER = {"role": "assistant", "content": CALL}
RESPONSE = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, "finish_reason": "stop", "message": ANSWER}]}


def taken(lines: list[bytes], format: str, **options: Any) -> list[Exchange | Quarantined]:
    found = read(lines, format, "voice", **options)
    return [each.exchange if isinstance(each, Row) else each for each in found]


def rows(record: Any, format: str, **options: Any) -> list[Exchange | Quarantined]:
    return taken([json.dumps(record).encode() + b"\n"], format, **options)


def row(record: Any, format: str, **options: Any) -> Row:
    (found,) = read([json.dumps(record).encode()], format, "voice", **options)
    assert isinstance(found, Row), found
    return found


def one(record: Any, format: str, **options: Any) -> Exchange:
    return row(record, format, **options).exchange


def bad(record: Any, format: str) -> str:
    (found,) = rows(record, format, now=NOW)
    assert isinstance(found, Quarantined), found
    return found.reason


CHAT = {
    "id": "r1", "messages": [SYSTEM, ASK, ANSWER], "model": "llama", "user": "ann", "created": AT, "latency_ms": 120,
    "usage": {"prompt_tokens": 7, "completion_tokens": 9},
}  # fmt: skip
LITELLM = {
    "id": "r1", "trace_id": "t", "call_type": "acompletion", "stream": False, "status": "success", "response_cost": 0.1,
    "total_tokens": 16, "prompt_tokens": 7, "completion_tokens": 9, "startTime": AT, "endTime": AT + 0.12, "completionStartTime": AT + 0.12,
    "model": "llama", "end_user": "ann", "messages": [SYSTEM, ASK], "response": RESPONSE,
}  # fmt: skip
SPEND_LOG = {
    "request_id": "r1", "call_type": "acompletion", "api_key": "88dc28", "spend": 0.1, "total_tokens": 16, "prompt_tokens": 7,
    "completion_tokens": 9, "startTime": "2023-11-14 22:13:20.250", "endTime": "2023-11-14 22:13:20.370", "model": "llama", "user": "",
    "end_user": "ann", "metadata": "{}", "messages": json.dumps([SYSTEM, ASK]), "response": json.dumps(RESPONSE), "status": "success",
}  # fmt: skip
LANGFUSE = {
    "id": "r1", "traceId": "t", "type": "GENERATION", "startTime": ISO, "endTime": "2023-11-14T22:13:20.370Z", "model": "llama",
    "userId": "ann", "input": [SYSTEM, ASK], "output": ANSWER, "usageDetails": {"input": 7, "output": 9, "total": 16}, "level": "DEFAULT",
}  # fmt: skip
LANGFUSE_BLOB = {
    "id": "r1", "trace_id": "t", "type": "GENERATION", "start_time": "2023-11-14 22:13:20.250000", "end_time": None, "latency": 0.12,
    "provided_model_name": "llama", "user_id": "ann", "input": json.dumps({"messages": [SYSTEM, ASK]}), "output": CALL,
    "usage_details": {"input": 7, "output": 9}, "level": "DEFAULT", "status_message": "",
}  # fmt: skip
LANGFUSE_TRACE = {
    "id": "t", "timestamp": ISO, "userId": "ann", "input": None, "output": None,
    "observations": [{"id": "s", "type": "SPAN", "input": {}}, {k: v for k, v in LANGFUSE.items() if k != "userId"}],
}  # fmt: skip


def text(value: str) -> dict[str, Any]:
    return {"stringValue": value}


def span(*attributes: tuple[str, dict[str, Any]], events: list[Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A line as the OTLP file exporter writes it, with one span."""
    common = [
        ("gen_ai.operation.name", text("chat")), ("gen_ai.request.model", text("llama-latest")), ("gen_ai.response.model", text("llama")),
        ("gen_ai.usage.input_tokens", {"intValue": "7"}), ("gen_ai.usage.output_tokens", {"intValue": "9"}), ("user.id", text("ann")),
    ]  # fmt: skip
    inner = {
        "traceId": "5b8efff7", "spanId": "eee19b7e", "name": "chat llama", "kind": 3,
        "startTimeUnixNano": "1700000000250000000", "endTimeUnixNano": "1700000000370000000",
        "attributes": [{"key": key, "value": value} for key, value in dict([*common, *attributes]).items()],
        "events": events or [], "status": {}, **fields,
    }  # fmt: skip
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"scope": {}, "spans": [inner]}]}]}


def event(name: str, **attributes: str) -> dict[str, Any]:
    return {
        "name": name,
        "timeUnixNano": "1",
        "attributes": [{"key": k.replace("__", "."), "value": text(v)} for k, v in attributes.items()],
    }


PARTS_IN = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "lights on"}]}])
PARTS_OUT = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": CALL}], "finish_reason": "stop"}])
INSTRUCTIONS = json.dumps([{"type": "text", "content": "Answer as JSON."}])
OTEL = span(
    ("gen_ai.system_instructions", text(INSTRUCTIONS)),
    ("gen_ai.input.messages", text(PARTS_IN)), ("gen_ai.output.messages", text(PARTS_OUT)),
)  # fmt: skip
OTEL_NUMBERED = span(
    ("gen_ai.prompt.1.role", text("user")), ("gen_ai.prompt.1.content", text("lights on")),
    ("gen_ai.prompt.0.role", text("system")), ("gen_ai.prompt.0.content", text("Answer as JSON.")),
    ("gen_ai.completion.0.role", text("assistant")), ("gen_ai.completion.0.content", text(CALL)),
)  # fmt: skip
OTEL_EVENTS = span(
    events=[
        event("gen_ai.system.message", gen_ai__event__content=json.dumps({"content": "Answer as JSON."})),
        event("gen_ai.user.message", content="lights on"),
        event("gen_ai.choice", gen_ai__event__content=json.dumps({"index": 0, "finish_reason": "stop", "message": {"content": CALL}})),
    ]
)
OTEL_CONTENT = span(
    events=[
        event("gen_ai.content.prompt", gen_ai__prompt=json.dumps([SYSTEM, ASK])),
        event("gen_ai.content.completion", gen_ai__completion=json.dumps([ANSWER])),
    ]
)


@pytest.mark.parametrize(
    ("format", "record", "row_id"),
    [
        ("chat", CHAT, "chat:r1"),
        ("litellm", LITELLM, "litellm:r1"),
        ("litellm", {"standard_logging_object": LITELLM}, "litellm:r1"),
        ("litellm", SPEND_LOG, "litellm:r1"),
        ("langfuse", LANGFUSE, "langfuse:r1"),
        ("langfuse", LANGFUSE_BLOB, "langfuse:r1"),
        ("langfuse", LANGFUSE_TRACE, "langfuse:r1"),
        ("otel", OTEL, "otel:5b8efff7-eee19b7e"),
        ("otel", OTEL_NUMBERED, "otel:5b8efff7-eee19b7e"),
        ("otel", OTEL_EVENTS, "otel:5b8efff7-eee19b7e"),
        ("otel", OTEL_CONTENT, "otel:5b8efff7-eee19b7e"),
        ("otel", OTEL["resourceSpans"][0]["scopeSpans"][0]["spans"][0], "otel:5b8efff7-eee19b7e"),
    ],
)
def test_every_form_gives_the_same_exchange(format: str, record: Any, row_id: str) -> None:
    found = one(record, format)
    assert json.loads(found.messages) == [SYSTEM, ASK]
    assert found == Exchange(
        id=row_id, loop="voice", version="llama", user=hashed_user("ann"), prompt="lights on", messages=found.messages, answer=CALL,
        status=200, at=pytest.approx(AT, abs=1e-6), latency_ms=pytest.approx(120, abs=0.01), first_token_ms=None,
        tokens_in=7, tokens_out=9, weight=100.0,
    )  # fmt: skip


def test_spans_as_protobuf_writes_them_are_read() -> None:
    from google.protobuf.json_format import MessageToJson, ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    written = json.loads(MessageToJson(ParseDict(OTEL, ExportTraceServiceRequest())))
    assert one(written, "otel").answer == CALL


def test_a_line_of_several_spans_gives_each_its_place() -> None:
    line = span(("gen_ai.input.messages", text(PARTS_IN)), ("gen_ai.output.messages", text(PARTS_OUT)))
    spans = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    spans.append({**spans[0], "spanId": "b", "attributes": [{"key": "http.method", "value": text("GET")}]})
    answered, other = rows(line, "otel")
    assert isinstance(answered, Exchange)
    assert isinstance(other, Quarantined)
    assert (other.where, other.reason) == ("line 1, record 2", "no model call: a span without gen_ai attributes")


@pytest.mark.parametrize("answer", [CALL, '{"content": "milk", "intent": "note"}', '{"choices": [], "intent": "x"}', "[1, 2]", "plain"])
@pytest.mark.parametrize(
    ("format", "record"),
    [
        ("chat", lambda said: {**CHAT, "messages": [ASK, {"role": "assistant", "content": said}]}),
        ("langfuse", lambda said: {**LANGFUSE, "output": said}),
        ("litellm", lambda said: {**LITELLM, "response": said}),
        ("otel", lambda said: span(events=[event("gen_ai.user.message", content="lights on"), event("gen_ai.choice", message=said)])),
        ("otel", lambda said: span(("gen_ai.prompt.0.content", text("lights on")), ("gen_ai.completion.0.content", text(said)))),
    ],
)
def test_an_answer_that_is_json_stays_as_it_was_written(format: str, record: Any, answer: str) -> None:
    assert one(record(answer), format).answer == answer


@pytest.mark.parametrize("prompt", ['{"a": 1}', "[1, 2]", '{"messages": 3}'])
def test_a_prompt_that_is_json_stays_as_it_was_written(prompt: str) -> None:
    assert one({**LANGFUSE, "input": prompt}, "langfuse").prompt == prompt
    assert one(span(("gen_ai.prompt.0.content", text(prompt)), ("gen_ai.completion.0.content", text("x"))), "otel").prompt == prompt


def test_the_prompt_is_the_last_thing_the_user_said() -> None:
    parts = [{"type": "text", "text": "lights"}, {"type": "text", "text": "off"}]
    turns = [ASK, ANSWER, {"role": "user", "content": parts}, {"role": "tool", "content": "done"}, ANSWER]
    found = one({**CHAT, "messages": turns}, "chat")
    read = [ASK, ANSWER, {"role": "user", "content": "lights\noff"}, {"role": "tool", "content": "done"}]
    assert (found.prompt, json.loads(found.messages)) == ("lights\noff", read)


def test_turns_of_one_conversation_are_rows_of_their_own() -> None:
    turns = [ASK, ANSWER, {"role": "user", "content": "off again"}, ANSWER]
    assert [one({**CHAT, "messages": turns[:n]}, "chat").id for n in (2, 4)] == ["chat:r1", "chat:r1:2"]


def test_a_row_with_the_id_of_another_exchange_is_told_apart_and_gets_an_id_of_its_own() -> None:
    first = row(CHAT, "chat")
    assert not row(CHAT, "chat").differs(first.exchange)
    assert not row({**CHAT, "created": AT + 0.4}, "chat").differs(first.exchange), "two exports may round the time in two ways"
    others = [
        row({**CHAT, "messages": [ASK, {**ANSWER, "content": "something else"}], "rating": "up"}, "chat"),
        row({**CHAT, "messages": [{"role": "user", "content": "off"}, ANSWER]}, "chat"),
        row({**CHAT, "created": AT + 60}, "chat"),
        Row(replace(first.exchange, loop="other"), False, None, True),
    ]
    assert all(each.differs(first.exchange) for each in others)
    renamed = [each.renamed() for each in others]
    assert len({each.exchange.id for each in renamed} | {first.exchange.id}) == 5
    assert [each.renamed() for each in others] == renamed, "the same file gives the same ids"
    assert renamed[0].feedback is not None
    assert renamed[0].feedback.request_id == renamed[0].exchange.id
    timeless = {name: value for name, value in CHAT.items() if name != "created"}
    assert not row(timeless, "chat", at=5e9).differs(row(timeless, "chat", at=6e9).exchange), "a copied file has another time"


@pytest.mark.parametrize("indent", [None, 2])
def test_arrays_and_pages_are_read_with_the_place_of_each_record(indent: int | None) -> None:
    other = {**CHAT, "id": "r2", "messages": []}
    lines = json.dumps([CHAT, other], indent=indent).encode().splitlines(keepends=True)
    good, refused = taken(lines, "chat")
    assert isinstance(good, Exchange)
    assert isinstance(refused, Quarantined)
    assert refused.where == ("line 1, record 2" if indent is None else f"line {lines.index(b'  {' + lines[1][3:], 2) + 1}")
    page = json.dumps({"data": [LANGFUSE, {**LANGFUSE, "id": "r3", "type": "AGENT"}], "meta": {"page": 1}}, indent=indent).encode()
    good, refused = taken(page.splitlines(keepends=True), "langfuse")
    assert isinstance(good, Exchange)
    assert isinstance(refused, Quarantined)
    assert (good.id, refused.where) == ("langfuse:r1", "line 1, record 2")


TOOL = {"type": "function", "function": {"name": "find_order", "description": "Find it", "parameters": {"type": "object"}}}
FLAT_TOOL = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("format", "record"),
    [
        ("chat", {**CHAT, "tools": [TOOL]}),
        ("chat", {**CHAT, "messages": [ASK, ANSWER], "system": "Answer as JSON.", "functions": [TOOL["function"]]}),
        ("litellm", {**LITELLM, "model_parameters": {"tools": [TOOL]}}),
        ("litellm", {**LITELLM, "optional_params": {"tools": [TOOL]}}),
        ("litellm", {**SPEND_LOG, "proxy_server_request": json.dumps({"tools": [TOOL], "model": "llama"})}),
        ("langfuse", {**LANGFUSE, "input": {"messages": [SYSTEM, ASK], "tools": [TOOL], "tool_choice": "auto"}}),
        ("langfuse", {**LANGFUSE, "input": [SYSTEM, ASK, {"role": "tool", "content": TOOL}]}),
        ("langfuse", {**LANGFUSE, "modelParameters": {"tools": json.dumps([TOOL]), "temperature": "0"}}),
        ("langfuse", {**LANGFUSE, "input": {"messages": [ASK], "system": "Answer as JSON."}, "model_parameters": {"tools": [
            {"name": "find_order", "description": "Find it", "input_schema": {"type": "object"}}]}}),
        ("otel", span(
            ("gen_ai.system_instructions", text(INSTRUCTIONS)), ("gen_ai.tool.definitions", text(json.dumps([FLAT_TOOL]))),
            ("gen_ai.input.messages", text(PARTS_IN)), ("gen_ai.output.messages", text(PARTS_OUT)),
        )),
        ("otel", span(
            ("gen_ai.prompt.0.role", text("system")), ("gen_ai.prompt.0.content", text("Answer as JSON.")),
            ("gen_ai.prompt.1.role", text("user")), ("gen_ai.prompt.1.content", text("lights on")),
            ("gen_ai.completion.0.content", text(CALL)), ("llm.request.functions.0.name", text("find_order")),
            ("llm.request.functions.0.description", text("Find it")), ("llm.request.functions.0.parameters", text('{"type": "object"}')),
        )),
    ],
)  # fmt: skip
def test_tools_and_instructions_are_read_wherever_the_log_has_them(format: str, record: Any) -> None:
    assert json.loads(one(record, format).messages) == {"messages": [SYSTEM, ASK], "tools": [TOOL]}


def test_calls_in_numbered_attributes_are_read() -> None:
    found = one(
        span(
            ("gen_ai.prompt.0.content", text("where is it?")),
            ("gen_ai.prompt.1.role", text("assistant")), ("gen_ai.prompt.1.tool_calls.0.id", text("c1")),
            ("gen_ai.prompt.1.tool_calls.0.name", text("find_order")), ("gen_ai.prompt.1.tool_calls.0.arguments", text('{"number": 7}')),
            ("gen_ai.prompt.2.role", text("tool")), ("gen_ai.prompt.2.content", text("Hamburg")),
            ("gen_ai.prompt.2.tool_call_id", text("c1")),
            ("gen_ai.completion.0.content", text("In Hamburg.")),
        ),
        "otel",
    )  # fmt: skip
    asked = exchange_asked(found)
    assert [message.role for message in asked.messages] == ["user", "assistant", "tool"]
    assert asked.messages[1].tool_calls == (ToolCall(id="c1", name="find_order", arguments='{"number": 7}'),)
    assert (asked.messages[2].tool_call_id, asked.messages[2].content) == ("c1", "Hamburg")


# OpenTelemetry's log records, each on a line as the OTLP file exporter writes them


def kv(value: Any) -> dict[str, Any]:
    """A value as OTLP has it."""
    if isinstance(value, dict):
        return {"kvlistValue": {"values": [{"key": name, "value": kv(member)} for name, member in value.items()]}}
    if isinstance(value, list):
        return {"arrayValue": {"values": [kv(member) for member in value]}}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def record_of(name: str, body: Any, moment: int, span: str = "s1", **fields: Any) -> dict[str, Any]:
    inner = {"body": kv(body), "traceId": "t1", "spanId": span, "timeUnixNano": str(moment), "eventName": name, **fields}
    inner.setdefault("attributes", [{"key": "gen_ai.system", "value": text("openai")}])
    return {"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords": [inner]}]}]}


BEGIN = 1_700_000_000_250_000_000
CHOICE = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": CALL}}


def log_lines(*records: dict[str, Any]) -> list[Exchange | Quarantined]:
    return taken([json.dumps(record).encode() for record in records], "otel")


def test_log_records_of_calls_that_overlap_are_joined() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}
    found = log_lines(
        record_of("gen_ai.system.message", {"content": "Answer as JSON."}, BEGIN),
        record_of("gen_ai.user.message", {"content": "where is it?"}, BEGIN, "s2"),
        record_of("gen_ai.user.message", {"content": "lights on"}, BEGIN + 1),
        record_of("gen_ai.assistant.message", {"tool_calls": [call]}, BEGIN, "s2"),
        record_of("gen_ai.choice", CHOICE, BEGIN + 120_000_000),
        record_of("gen_ai.tool.message", {"id": "c1", "content": "in Hamburg"}, BEGIN, "s2"),
        record_of("gen_ai.choice", {**CHOICE, "message": {"content": "In Hamburg."}}, BEGIN + 1_000_000, "s2"),
    )
    first, second = found
    assert isinstance(first, Exchange)
    assert isinstance(second, Exchange)
    assert (first.id, json.loads(first.messages), first.answer) == ("otel:t1-s1", [SYSTEM, ASK], CALL)
    assert (first.at, first.latency_ms) == (pytest.approx(AT), pytest.approx(120, abs=0.01))
    result = {"role": "tool", "content": "in Hamburg", "tool_call_id": "c1"}
    asked = [{"role": "user", "content": "where is it?"}, {"role": "assistant", "content": "", "tool_calls": [call]}, result]
    assert (json.loads(second.messages), second.answer) == (asked, "In Hamburg.")


def test_log_records_as_protobuf_writes_them_are_read() -> None:
    from google.protobuf.json_format import MessageToJson, ParseDict
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    ids = {"traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXM="}
    parts = [{"type": "text", "text": "lights"}, {"type": "text", "text": "on"}]
    events = [
        ("gen_ai.system.message", {"content": "Answer as JSON."}),
        ("gen_ai.user.message", {"content": parts}),
        ("gen_ai.choice", CHOICE),
    ]
    sent = [ParseDict(record_of(name, body, BEGIN, **ids), ExportLogsServiceRequest()) for name, body in events]  # type: ignore[arg-type]
    for lines in ([MessageToJson(each, indent=None) for each in sent], ["[", ",".join(map(MessageToJson, sent)), "]"]):
        (found,) = taken([line.encode() + b"\n" for line in lines], "otel")
        assert isinstance(found, Exchange)
        assert (json.loads(found.messages), found.answer) == ([SYSTEM, {"role": "user", "content": "lights\non"}], CALL)


SENT = json.dumps({"model": "llama", "messages": [SYSTEM, ASK], "user": "ann"})


@pytest.mark.parametrize("nothing", ["{}", {}])
def test_a_row_of_litellm_has_its_messages_in_the_request_that_the_proxy_got(nothing: Any) -> None:
    assert one({**SPEND_LOG, "messages": nothing, "proxy_server_request": SENT}, "litellm") == one(SPEND_LOG, "litellm")


@pytest.mark.parametrize("text", ["__REDACTED__", "redacted-by-litellm", "a... (litellm_truncated skipped 2000 chars) ...b"])
def test_what_a_log_hides_or_cuts_is_no_traffic(text: str) -> None:
    for record in ({**LITELLM, "messages": [{"role": "user", "content": text}]}, {**LITELLM, "response": text}):
        assert "in place of the text" in bad(record, "litellm")


def test_a_span_that_lost_a_part_is_refused() -> None:
    prompts = [(f"gen_ai.prompt.{number}.content", text("hi")) for number in (0, 1)]
    answer = ("gen_ai.completion.0.content", text("{}"))
    assert "lost 36 attributes or events" in bad(span(*prompts, answer, droppedAttributesCount=36), "otel")
    assert "member 0 of a list of 1 in the attributes is missing" in bad(span(prompts[1], answer), "otel")
    assert "lost 1 attribute or event:" in bad(span(*prompts, answer, events=[{"name": "x", "droppedAttributesCount": 1}]), "otel")


def test_the_first_choice_counts_in_whatever_order_events_came() -> None:
    said = [{"index": number, "finish_reason": "stop", "message": {"content": text}} for number, text in ((1, "second"), (0, "first"))]
    events = [event("gen_ai.choice", gen_ai__event__content=json.dumps(each)) for each in said]
    assert one(span(events=[event("gen_ai.user.message", content="lights on"), *events]), "otel").answer == "first"


def test_a_record_of_the_whole_call_is_read() -> None:
    attributes = [
        {"key": "gen_ai.operation.name", "value": text("chat")},
        {"key": "gen_ai.input.messages", "value": kv(json.loads(PARTS_IN))},
        {"key": "gen_ai.output.messages", "value": kv(json.loads(PARTS_OUT))},
    ]
    (found,) = log_lines(record_of("gen_ai.client.inference.operation.details", "", BEGIN, attributes=attributes))
    assert isinstance(found, Exchange)
    assert (found.prompt, found.answer) == ("lights on", CALL)


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([record_of("gen_ai.user.message", {"content": "lights on"}, BEGIN)], "no answer"),
        ([record_of("gen_ai.choice", CHOICE, BEGIN)], "no messages"),
        ([record_of("gen_ai.user.message", {"content": "x"}, BEGIN, "")], "without traceId and spanId"),
        (
            [record_of("http.request", {"content": "x"}, BEGIN)],
            "without gen_ai attributes",
        ),
        (
            [
                record_of("gen_ai.user.message", {"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, BEGIN),
                record_of("gen_ai.choice", CHOICE, BEGIN),
            ],
            "message 1: a part of type 'image_url' is not text",
        ),
    ],
)
def test_log_records_that_make_no_call_are_told(records: list[dict], reason: str) -> None:
    if reason.startswith("without gen_ai"):
        records[0]["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"] = []
    (found,) = log_lines(*records)
    assert isinstance(found, Quarantined)
    assert reason in found.reason


@pytest.mark.parametrize(("format", "record"), [("chat", CHAT), ("litellm", LITELLM), ("langfuse", LANGFUSE), ("otel", OTEL_EVENTS)])
def test_the_format_that_fits_is_found(format: str, record: Any) -> None:
    assert format in fitting([json.dumps(record).encode()])
    assert fitting([b'{"text": "nothing of the kind"}']) == []


@pytest.mark.parametrize(
    ("format", "record", "status", "error"),
    [
        ("chat", {**CHAT, "messages": [ASK], "status": 503, "error": "overloaded"}, 503, "overloaded"),
        ("chat", {**{k: v for k, v in CHAT.items() if k != "status"}, "messages": [ASK], "error": "Timeout"}, 502, "Timeout"),
        ("langfuse", {**LANGFUSE, "level": "ERROR", "output": None, "statusMessage": "no such order of kim@example.com"}, 502, "failed"),
        (
            "litellm",
            {**LITELLM, "status": "failure", "response": None, "error_str": "litellm.RateLimitError: boom for kim"},
            502,
            "litellm.RateLimitError",
        ),
        (
            "litellm",
            {**SPEND_LOG, "status": "failure", "response": "{}", "metadata": '{"error_information": {"error_code": "429"}}'},
            429,
            "failed",
        ),
        ("otel", span(("gen_ai.prompt.0.content", text("lights on")), status={"code": 2, "message": "timeout"}), 502, "timeout"),
    ],
)
def test_a_request_that_failed_is_an_exchange_without_an_answer(format: str, record: Any, status: int, error: str) -> None:
    found = one(record, format)
    assert (found.prompt, found.answer, found.status, found.error) == ("lights on", "", status, error)


@pytest.mark.parametrize(
    ("format", "record", "reason"),
    [
        ("chat", {}, 'with "messages"'),
        ("chat", {"messages": "hello"}, "not a list of messages"),
        ("chat", {**CHAT, "context": "from the wiki"}, "the field 'context'"),
        ("chat", {**CHAT, "messages": [ASK, {"role": "assistant", "content": "a \0 b"}]}, "NUL"),
        ("chat", {**CHAT, "messages": [ASK]}, "not the assistant's"),
        ("chat", {**CHAT, "messages": [SYSTEM, ANSWER]}, "the last message of a request"),
        ("chat", {**CHAT, "messages": [ASK, {"role": "assistant", "content": ""}]}, "no answer"),
        (
            "chat",
            {**CHAT, "messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}]},
            "calls the tool 'f': only loops with",
        ),
        ("langfuse", {**LANGFUSE, "input": {"messages": [ASK], "documents": ["a", "b"]}}, "the field 'documents' of the request"),
        ("chat", {**CHAT, "created": "yesterday"}, "created: 'yesterday' is not a time"),
        ("chat", {**CHAT, "created": math.nan}, "created: 'nan' is not a time"),
        ("chat", {**CHAT, "created": True}, "not a time"),
        ("chat", {**CHAT, "created": -5}, "not a time"),
        ("chat", {k: v for k, v in CHAT.items() if k != "created"}, "it has no time"),
        ("chat", {**CHAT, "latency_ms": -1}, "latency_ms: -1 is not a duration"),
        ("chat", {**CHAT, "status": 42}, "status: 42 is not an HTTP status"),
        ("chat", {**CHAT, "status": "error"}, "status: 'error' is not a whole number"),
        ("chat", {**CHAT, "usage": {"prompt_tokens": "many"}}, "prompt_tokens: 'many' is not a whole number"),
        ("litellm", {**LITELLM, "endTime": "soon"}, "endTime: 'soon' is not a time"),
        ("langfuse", {**LANGFUSE, "startTime": "?"}, "startTime: '?' is not a time"),
        ("langfuse", {**LANGFUSE_BLOB, "latency": "0,1"}, "latency: '0,1' is not a duration"),
        (
            "chat",
            {**CHAT, "messages": [ASK, {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": "{oops"}}]}]},
            "the answer calls the tool 'look' with arguments that are not JSON: Expecting property name",
        ),
        ("chat", {**CHAT, "messages": json.dumps([ASK]).replace("{", '{"content": "lost", ')}, "the key 'content' is there twice"),
        (
            "litellm",
            {**SPEND_LOG, "messages": '[{"role": "user", "content": "kept", "content": "lost"}]'},
            "the key 'content' is there twice",
        ),
        (
            "litellm",
            {**SPEND_LOG, "response": json.dumps(RESPONSE).replace('"choices"', '"choices": [], "choices"')},
            "'choices' is there twice",
        ),
        ("chat", {**CHAT, "messages": [{"role": "user", "content": "\ud800"}, ANSWER]}, "UTF-8"),
        ("litellm", {**LITELLM, "call_type": "aembedding"}, "aembedding"),
        ("litellm", {**SPEND_LOG, "messages": "{}"}, "not logged"),
        ("litellm", {**LITELLM, "response": "{}"}, "no answer"),
        ("litellm", {**LITELLM, "endTime": AT - 1}, "ended before"),
        ("langfuse", {**LANGFUSE, "type": "SPAN"}, "SPAN"),
        ("langfuse", {**LANGFUSE, "input": {"args": []}}, "no messages"),
        ("langfuse", {"name": "score", "value": 1}, "input"),
        ("otel", span(("gen_ai.input.messages", text(PARTS_IN))), "no answer"),
        ("otel", span(("gen_ai.operation.name", text("execute_tool"))), "execute_tool"),
        ("otel", span(), "not logged"),
        ("otel", span(("gen_ai.input.messages", text("[]")), ("gen_ai.output.messages", text(PARTS_OUT))), "the request has no messages"),
        ("litellm", {**SPEND_LOG, "messages": "[]"}, "the request has no messages"),
        ("otel", {"resourceSpans": [{"scopeSpans": [{"spans": ["x"]}]}]}, "not a span"),
        ("otel", span(("gen_ai.x", {"kvlistValue": {"values": [{}]}})), "not logged"),
        ("otel", {"spanId": "s", "traceId": "t", "attributes": {"gen_ai.input.messages": [{"role": {}}]}}, "no messages"),
        ("chat", {**CHAT, "created": 5_680_000_000}, "the time 2149-12-28 cannot be right"),
        ("chat", {**CHAT, "created": 20_261_129}, "the time 1970-08-23 cannot be right"),
        ("chat", {**CHAT, "created": "1999-12-31T23:00:00Z"}, "cannot be right"),
        ("chat", {**CHAT, "created": 1e300}, "cannot be right"),
        ("chat", {**CHAT, "latency_ms": 1e15}, "the duration 1000000000000000 ms cannot be right"),
        ("chat", {**CHAT, "error": "boom"}, "an answer and the field 'error'"),
        ("chat", {**CHAT, "rating": 3}, "the rating '3' is neither up nor down"),
        ("chat", {**CHAT, "rating": 1}, "the rating '1' is neither up nor down"),
        ("chat", {**CHAT, "usage": {"prompt_tokens": 1e300}}, "prompt_tokens: 1e+300 cannot be right"),
        ("chat", {**CHAT, "score": 0.2}, "the field 'score'"),
        ("chat", {**CHAT, "weight": 0}, "the field 'weight'"),
        ("chat", {**CHAT, "system_prompt": "Be brief."}, "the field 'system_prompt'"),
        ("chat", {**CHAT, "messages": [ASK, {**ANSWER, "weight": 0}]}, "the field 'weight' of the answer"),
        ("openai", {"choices": RESPONSE["choices"], "id": "x", "created": AT}, "without its messages"),
        ("openai", {"input": {"messages": [ASK]}, "preferred_output": [ANSWER], "non_preferred_output": [ANSWER]}, "are the same"),
        ("openinference", OTEL, "without attributes of OpenInference"),
        ("mlflow", {"info": {"trace_id": "t"}, "data": {"spans": []}}, "not a trace of MLflow with its spans"),
    ],
)
def test_what_is_no_exchange_is_quarantined_with_its_reason(format: str, record: Any, reason: str) -> None:
    assert reason in bad(record, format)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[" * 100_000, "nested more than 100 levels deep"),
        (b'"' + b"x" * 2**24 + b'"', "longer than"),
        (json.dumps(CHAT)[:-1].encode() + b', "user": "kim"}', "the key 'user' is there twice"),
    ],
)
@pytest.mark.parametrize("format", TRAFFIC)
def test_a_broken_line_does_not_take_the_others_with_it(format: str, line: bytes, reason: str) -> None:
    good = json.dumps(CHAT).encode()
    found = taken([b"\xef\xbb\xbf" + good, b" \r\n", line, good], format)
    assert [f.where for f in found if isinstance(f, Quarantined) and reason in f.reason] == ["line 3"]
    if format == "chat":
        assert [isinstance(f, Exchange) for f in found] == [True, False, True]


def test_an_attribute_that_is_there_twice_refuses_its_span_unless_both_say_the_same() -> None:
    line = span(("gen_ai.input.messages", text(PARTS_IN)), ("gen_ai.output.messages", text(PARTS_OUT)))
    [inner] = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    inner["attributes"].append({"key": "user.id", "value": text("ann")})
    assert one(line, "otel").answer
    inner["attributes"].append({"key": "user.id", "value": text("kim")})
    assert "the attribute 'user.id' is there twice" in bad(line, "otel")


def test_a_failed_request_may_have_an_empty_answer() -> None:
    empty = {**CHAT, "status": 500, "messages": [ASK, {"role": "assistant", "content": ""}]}
    assert one(empty, "chat") == one({**empty, "messages": [ASK]}, "chat")
    assert one({**empty, "messages": [ASK, ANSWER]}, "chat").answer == CALL  # of one that broke off


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="openinference, otel, mlflow, langfuse, litellm, chat, openai"):
        list(read([], "csv", "voice"))


def test_an_id_follows_from_the_content_where_the_source_has_none() -> None:
    anonymous = {k: v for k, v in CHAT.items() if k not in ("id", "created")}
    first, again = one(anonymous, "chat", at=1.1e9), one(anonymous, "chat", at=1.2e9)  # a copied file has another time
    assert first.id == again.id
    assert first.id != one({**anonymous, "messages": [ASK, {**ANSWER, "content": "other"}]}, "chat", at=1.1e9).id


def test_what_the_caller_knows_fills_in_and_overrules() -> None:
    bare = {"messages": [ASK, ANSWER]}
    found = one(bare, "chat", at=1.5e9)
    assert (found.at, found.version, found.user, found.latency_ms, found.tokens_in) == (1.5e9, "chat", "", 0.0, None)
    assert one(CHAT, "chat", at=1.5e9, version="v0").at == AT
    assert one(CHAT, "chat", version="v0").version == "v0"


@pytest.mark.parametrize(
    "time",
    [
        AT, int(AT * 1000), AT * 1e6, int(AT * 1e9), str(AT), ISO, "2023-11-15T00:13:20.250+02:00", "2023-11-14 22:13:20.250 UTC",
        "2023-11-14T22:13:20.250123456Z", "2023-11-15 00:13:20.25 +0200",
    ],
)  # fmt: skip
def test_times_are_read_in_any_usual_form(time: Any) -> None:
    assert one({**CHAT, "created": time}, "chat").at == pytest.approx(AT, abs=1e-3)


@pytest.mark.parametrize("time", ["14/Nov/2023:22:13:20 +0000", "Tue, 14 Nov 2023 22:13:20 GMT", "2023-11-14 22:13:20 UTC"])
def test_times_of_access_logs_and_headers_are_read(time: str) -> None:
    assert one({**CHAT, "created": time}, "chat").at == int(AT)


NAMES = [*CHAT, *LITELLM, *LANGFUSE, "attributes", "key", "value", "spans", "role", "content"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(list(TRAFFIC)), JSON)
@settings(max_examples=300, deadline=None)
def test_any_json_is_sorted_into_exchanges_and_quarantine(format: str, record: Any) -> None:
    for found in rows(record, format):
        assert isinstance(found, Exchange | Quarantined)
        if isinstance(found, Exchange):
            assert math.isfinite(found.at)
            assert found.prompt.strip()


def test_a_time_is_in_the_future_from_five_minutes_on() -> None:
    def at(ahead: float) -> Row | Assessed | Quarantined:
        (found,) = read([json.dumps({**CHAT, "created": AT + ahead}).encode()], "chat", "voice", now=AT)
        return found

    assert isinstance(at(200.0), Row)
    assert isinstance(later := at(3600.0), Quarantined)
    assert "in the future" in later.reason


@pytest.mark.parametrize("reason", ["refusal", "content_filter", "length", None])
def test_an_answer_that_did_not_end_by_itself_is_cut(reason: str | None) -> None:
    record = {**CHAT, "finish_reason": reason} if reason else {**CHAT, "truncated": True}
    (found,) = read([json.dumps(record).encode()], "chat", "voice")
    assert isinstance(found, Row)
    assert found.cut


@pytest.mark.parametrize("name", [" kim ", {"id": "kim"}, {"user_id": "kim", "plan": "pro"}])
def test_a_user_is_known_by_the_name_whatever_is_around_it(name: Any) -> None:
    assert one({**CHAT, "user": name}, "chat").user == one({**CHAT, "user": "kim"}, "chat").user


TIMER = {"name": "StartTimer", "arguments": '{"minutes": 5}'}
TIMER_CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": TIMER}]}
PARTS_CALL = [{"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "StartTimer", "arguments": {"minutes": 5}}]}]
NUMBERED_CALL = ("gen_ai.completion.0.tool_calls.0.name", text("StartTimer")), (
    "gen_ai.completion.0.tool_calls.0.arguments", text('{"minutes": 5}')
)  # fmt: skip
TIMER_CHOICE = {"index": 0, "finish_reason": "tool_calls", "message": TIMER_CALL}
PHOENIX_CALL = [
    ("openinference.span.kind", text("LLM")),
    ("llm.input_messages.0.message.role", text("user")), ("llm.input_messages.0.message.content", text("lights on")),
    ("llm.output_messages.0.message.role", text("assistant")),
    ("llm.output_messages.0.message.tool_calls.0.tool_call.function.name", text("StartTimer")),
    ("llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments", text('{"minutes": 5}')),
]  # fmt: skip
TRACED = {
    "info": {"trace_id": "tr-1", "request_time": ISO, "state": "OK"},
    "data": {"spans": [{
        "span_id": "a", "parent_span_id": None, "start_time_unix_nano": 1700000000250000000, "end_time_unix_nano": 1700000000370000000,
        "attributes": {
            "mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": json.dumps({"messages": [ASK]}),
            "mlflow.spanOutputs": json.dumps({"choices": [TIMER_CHOICE]}),
        },
    }]},
}  # fmt: skip


@pytest.mark.parametrize(
    ("format", "record"),
    [
        ("chat", {**CHAT, "messages": [ASK, TIMER_CALL]}),
        ("openai", {"id": "c", "object": "chat.completion", "created": AT, "messages": [ASK], "choices": [TIMER_CHOICE]}),
        ("litellm", {**LITELLM, "response": {**RESPONSE, "choices": [TIMER_CHOICE]}}),
        ("langfuse", {**LANGFUSE, "output": TIMER_CALL}),
        ("otel", span(("gen_ai.input.messages", text(PARTS_IN)), ("gen_ai.output.messages", text(json.dumps(PARTS_CALL))))),
        ("otel", span(("gen_ai.prompt.0.content", text("lights on")), *NUMBERED_CALL)),
        ("otel", span(events=[event("gen_ai.user.message", content="lights on"), event("gen_ai.choice", message=json.dumps(TIMER_CALL))])),
        ("openinference", span(*PHOENIX_CALL)),
        ("mlflow", TRACED),
    ],
)
def test_an_answer_that_is_a_call_is_taken_by_a_loop_of_calls_and_refused_by_name_by_any_other(format: str, record: Any) -> None:
    found = one(record, format, call_field="intent")
    assert (found.prompt, json.loads(found.answer)) == ("lights on", {"intent": "StartTimer", "minutes": 5})
    assert "calls the tool 'StartTimer': only loops with" in bad(record, format)
    assert fitting([json.dumps(record).encode()])[:1], "such a file has a format"


def test_a_preference_between_calls_keeps_both() -> None:
    record = {
        "input": {"messages": [ASK]}, "created": AT, "non_preferred_output": [ANSWER],
        "preferred_output": [TIMER_CALL],
    }  # fmt: skip
    found = row(record, "openai", call_field="intent")
    assert found.feedback is not None
    assert json.loads(found.feedback.correction or "") == {"intent": "StartTimer", "minutes": 5}
    assert "calls the tool 'StartTimer'" in bad(record, "openai")


def test_a_comment_comes_with_the_rating() -> None:
    found = row({**CHAT, "rating": "down", "comment": "opens the wrong door"}, "chat")
    assert found.feedback is not None
    assert (found.feedback.rating, found.feedback.comment) == ("down", "opens the wrong door")
    assert "the comment is not a text" in bad({**CHAT, "rating": "down", "comment": {"a": 1}}, "chat")
    assert "the field 'comment' comes with a rating or a correction" in bad({**CHAT, "comment": "nice"}, "chat")


def test_tags_come_with_the_rating() -> None:
    found = row({**CHAT, "rating": "down", "tags": ["wrong queue", " rude ", "rude"]}, "chat")
    assert found.feedback is not None
    assert (found.feedback.tags, found.left_out) == ("rude, wrong queue", ())
    assert "the tags are not a list of texts" in bad({**CHAT, "rating": "down", "tags": "rude"}, "chat")
    assert "'a,b' is not a tag" in bad({**CHAT, "rating": "down", "tags": ["a,b"]}, "chat")
    assert "the field 'tags' comes with a rating or a correction" in bad({**CHAT, "tags": ["rude"]}, "chat")


def test_a_model_that_is_described_is_known_by_its_name_and_a_list_is_refused() -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "{}"}]
    record = {"id": "a", "created": "2026-11-22T08:00:00Z", "messages": messages}
    assert one({**record, "model": {"name": "m", "size": 7}}, "chat").version == "m"
    assert bad({**record, "model": ["a"]}, "chat") == "the name of the model is not a text"
