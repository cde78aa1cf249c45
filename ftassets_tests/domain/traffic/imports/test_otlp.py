"""Spans and log records as OpenTelemetry's SDK prints them and as OTLP has them, of GenAI's and OpenInference's conventions."""

import io
import json
from typing import Any

import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports import Row, fitting, otel_genai, read

ASK = [{"role": "user", "parts": [{"type": "text", "content": "where is it?"}]}]
SAID = [{"role": "assistant", "parts": [{"type": "text", "content": "in Hamburg"}], "finish_reason": "stop"}]
CALL = {
    "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "alias", "gen_ai.response.model": "m",
    "gen_ai.response.finish_reasons": ("stop",), "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 2,
}  # fmt: skip
TEXTS = {"gen_ai.input.messages": ASK, "gen_ai.output.messages": SAID}
PHOENIX = {
    "openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 7, "llm.token_count.completion": 2,
    "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "where is it?",
    "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "in Hamburg",
}  # fmt: skip


class Sdk:
    """Spans and log records that the SDK made, as it prints them."""

    def __init__(self) -> None:
        self.printed = io.StringIO()
        self.traces, self.logs, self.records = (
            TracerProvider(shutdown_on_exit=False),
            LoggerProvider(shutdown_on_exit=False),
            InMemoryLogRecordExporter(),
        )
        self.traces.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=self.printed)))
        self.logs.add_log_record_processor(SimpleLogRecordProcessor(self.records))

    def call(self, attributes: dict[str, Any], *events: tuple[str, Any, dict[str, Any]], error: str | None = None) -> None:
        """A span with these attributes, and log records within it: event name, body, attributes."""
        with self.traces.get_tracer("t").start_as_current_span("chat") as span:
            span.set_attributes(attributes)
            for name, body, more in events:
                self.logs.get_logger("t").emit(event_name=name, body=body, attributes=more)
            if error:
                span.set_status(Status(StatusCode.ERROR, error))

    @property
    def spans(self) -> str:
        return self.printed.getvalue()

    @property
    def log_records(self) -> str:
        return "\n".join(each.to_json(indent=None) for each in self.records.get_finished_logs())


def rows(text: str, format: str = "otel") -> list[Row | Quarantined]:
    return list(read(text.encode().splitlines(keepends=True), format, "support"))


def one(text: str, format: str = "otel") -> Row:
    (found,) = rows(text, format)
    assert isinstance(found, Row), found
    return found


@pytest.fixture
def sdk() -> Sdk:
    return Sdk()


def test_printed_spans_of_openinference_are_read(sdk: Sdk) -> None:
    tool = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}
    call = {"llm.input_messages.1.message.role": "assistant"} | {
        f"llm.input_messages.1.message.tool_calls.0.tool_call.{name}": value
        for name, value in (("id", "c1"), ("function.name", "find_order"), ("function.arguments", '{"n": 7}'))
    }
    result = {
        "llm.input_messages.2.message.role": "tool", "llm.input_messages.2.message.tool_call_id": "c1",
        "llm.input_messages.2.message.content": "Hamburg", "llm.tools.0.tool.json_schema": json.dumps(tool),
    }  # fmt: skip
    sdk.call({**PHOENIX, **call, **result, "user.id": "kim"})
    sdk.call({**PHOENIX, "llm.finish_reason": "length"})
    parts = {
        f"llm.input_messages.0.message.contents.0.message_content.{name}": value
        for name, value in (("type", "image"), ("image.image.url", "x"))
    }
    sdk.call({**{name: value for name, value in PHOENIX.items() if not name.endswith("0.message.content")}, **parts})
    sdk.call({"openinference.span.kind": "CHAIN", "input.value": "x"})
    sdk.call({name: value for name, value in PHOENIX.items() if "output" not in name}, error="timeout")
    assert fitting(sdk.spans.encode().splitlines(keepends=True))[:2] == ["openinference", "otel"]
    whole, cut, image, chain, failed = rows(sdk.spans, "openinference")
    assert isinstance(whole, Row)
    assert isinstance(cut, Row)
    assert isinstance(failed, Row)
    stored = json.loads(whole.exchange.messages)
    assert ([message["role"] for message in stored["messages"]], stored["tools"]) == (["user", "assistant", "tool"], [tool])
    assert (whole.exchange.answer, whole.exchange.version, whole.exchange.tokens_in, whole.cut, cut.cut) == (
        "in Hamburg",
        "m",
        7,
        False,
        True,
    )
    assert (failed.exchange.status, failed.exchange.error) == (502, "timeout")
    assert isinstance(image, Quarantined)
    assert "a part of type 'image' is not text" in image.reason
    assert isinstance(chain, Quarantined)
    assert chain.reason == "no model call: a span of kind CHAIN"


def test_openinference_spans_with_whole_requests_only_are_read() -> None:
    request = {"model": "m", "messages": [{"role": "user", "content": "where is it?"}], "tools": []}
    response = {"choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": "in Ham"}}]}
    sdk = Sdk()
    sdk.call({"openinference.span.kind": "LLM", "input.value": json.dumps(request), "output.value": json.dumps(response)})
    row = one(sdk.spans, "openinference")
    assert (row.exchange.prompt, row.exchange.answer, row.cut) == ("where is it?", "in Ham", True)


def test_events_of_the_whole_call_are_read_as_the_sdk_prints_them(sdk: Sdk) -> None:
    for more in (TEXTS, {**TEXTS, "gen_ai.response.finish_reasons": ("length",)}, {"gen_ai.input.messages": ASK, "error.type": "Timeout"}):
        sdk.call({}, ("gen_ai.client.inference.operation.details", None, {**CALL, **more}))
    whole, cut, failed = rows(sdk.log_records)
    assert isinstance(whole, Row)
    assert isinstance(cut, Row)
    assert isinstance(failed, Row)
    assert (whole.exchange.prompt, whole.exchange.answer, whole.exchange.version, whole.exchange.tokens_in) == (
        "where is it?",
        "in Hamburg",
        "m",
        7,
    )
    assert (whole.cut, cut.cut) == (False, True)
    assert (failed.exchange.status, failed.exchange.error, failed.exchange.answer) == (502, "Timeout", "")


def test_an_event_without_a_span_is_a_call_of_its_own() -> None:
    event = {"eventName": "gen_ai.client.inference.operation.details", "timeUnixNano": "1700000000250000000", "attributes": [
        {"key": "gen_ai.response.id", "value": {"stringValue": "chatcmpl-1"}},
        *({"key": key, "value": {"stringValue": json.dumps(value)}} for key, value in TEXTS.items())]}  # fmt: skip
    exchange = one(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [event]}]}]})).exchange
    assert (exchange.id, exchange.answer, exchange.at) == ("otel:chatcmpl-1", "in Hamburg", pytest.approx(1_700_000_000.25))


def test_spans_and_log_records_in_one_file_are_one_call(sdk: Sdk) -> None:
    events = (
        ("gen_ai.system.message", {"content": "Be brief."}, {}),
        ("gen_ai.user.message", {"content": "where is it?"}, {}),
        ("gen_ai.choice", {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "in Ham"}}, {}),
    )
    sdk.call(CALL, *events)
    spans = "\n".join(json.dumps(json.loads(text)) for text in [sdk.spans])
    for text in (f"{sdk.log_records}\n{spans}", f"{spans}\n{sdk.log_records}"):
        row = one(text)
        assert (row.exchange.version, row.exchange.tokens_in, row.exchange.answer, row.cut) == ("m", 7, "in Ham", True)
        assert [message["role"] for message in json.loads(row.exchange.messages)] == ["system", "user"]
    assert one(sdk.log_records).exchange.id == one(f"{spans}\n{sdk.log_records}").exchange.id


def test_calls_that_wait_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch, sdk: Sdk) -> None:
    monkeypatch.setattr(otel_genai, "HELD", 2)
    for _ in range(5):
        sdk.call({}, ("gen_ai.client.inference.operation.details", None, {**CALL, **TEXTS}))
    assert len({row.exchange.id for row in rows(sdk.log_records) if isinstance(row, Row)}) == 5
    held = 0
    for _ in otel_genai.joined(
        (str(n), record) for n, line in enumerate(sdk.log_records.splitlines()) for record in otel_genai.records(json.loads(line))
    ):
        held += 1
    assert held == 5


def test_an_evaluation_of_an_answer_is_refused_by_name(sdk: Sdk) -> None:
    sdk.call({}, ("gen_ai.evaluation.result", None, {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 4.0}))
    (found,) = rows(sdk.log_records)
    assert isinstance(found, Quarantined)
    assert found.reason == "an evaluation of an answer, no call"


@pytest.mark.parametrize("preserve", [False, True])
def test_ids_are_the_same_in_every_way_of_writing_them(preserve: bool) -> None:
    from google.protobuf.json_format import MessageToJson, ParseDict
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    texts = [{"key": key, "value": {"stringValue": json.dumps(value)}} for key, value in TEXTS.items()]
    span = {"startTimeUnixNano": "1700000000250000000", "endTimeUnixNano": "1700000000370000000", "attributes": texts, "name": "chat"}
    plain = {**span, "traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}
    packed = {**span, "traceId": "W47/95gDgQPSabYzgT/GDA==", "spanId": "7uGbfsPBsXQ="}
    wrap = lambda one: {"resourceSpans": [{"scopeSpans": [{"spans": [one]}]}]}  # noqa: E731
    written = MessageToJson(ParseDict(wrap(packed), ExportTraceServiceRequest()), preserving_proto_field_name=preserve)
    assert one(written).exchange == one(json.dumps(wrap(plain))).exchange
    assert one(written).exchange.id == "otel:5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174"
