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
from ftassets.domain.traffic.imports import Assessed, Row, fitting, otel_genai, read

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
    found = read(text.encode().splitlines(keepends=True), format, "support")
    return [each for each in found if not isinstance(each, Assessed)]


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


EVALUATION = {"gen_ai.evaluation.name": "user_feedback", "gen_ai.evaluation.score.value": 0.0, "gen_ai.evaluation.explanation": "late"}


@pytest.mark.parametrize(
    ("attributes", "said", "left_out"),
    [
        (EVALUATION, ("down", None, "late"), None),
        ({**EVALUATION, "gen_ai.evaluation.score.label": "thumbs_up"}, ("up", None, "late"), None),
        ({**EVALUATION, "gen_ai.evaluation.name": "correctness", "app.annotator_kind": "HUMAN"}, ("down", None, "late"), None),
        ({"gen_ai.evaluation.name": "correction", "app.kind": "human", "gen_ai.evaluation.explanation": "{}"}, (None, "{}", None), None),
        ({**EVALUATION, "gen_ai.evaluation.name": "Relevance"}, None, "the evaluation 'Relevance'"),
        ({**EVALUATION, "annotator_kind": "LLM"}, None, "the evaluation 'user_feedback'"),
    ],
)
def test_an_evaluation_is_feedback_if_it_says_that_a_person_gave_it(
    sdk: Sdk, attributes: dict[str, Any], said: tuple[str | None, ...] | None, left_out: str | None
) -> None:
    sdk.call(CALL, ("gen_ai.client.inference.operation.details", None, TEXTS), ("gen_ai.evaluation.result", None, attributes))
    found = list(read(sdk.log_records.encode().splitlines(keepends=True), "otel", "support"))
    (row,) = [each for each in found if isinstance(each, Row)]
    (assessed,) = [each for each in found if isinstance(each, Assessed)]
    if said is None:
        assert assessed.feedback is None
        assert assessed.left_out[0].startswith(left_out or "")
        return
    assert row.exchange.id in assessed.about
    feedback = assessed.on(row.exchange)
    assert (feedback.request_id, (feedback.rating, feedback.correction, feedback.comment)) == (row.exchange.id, said)


def test_an_evaluation_without_a_span_is_about_the_response_of_its_id() -> None:
    record = {"eventName": "gen_ai.evaluation.result", "attributes": {**EVALUATION, "gen_ai.response.id": "chatcmpl-1"}}
    (assessed,) = read([json.dumps(record).encode()], "otel", "support")
    assert isinstance(assessed, Assessed)
    assert assessed.about == ("chatcmpl-1", "otel:chatcmpl-1")
    (bad,) = read([json.dumps({**record, "attributes": EVALUATION}).encode()], "otel", "support")
    assert isinstance(bad, Quarantined)
    assert "it has neither traceId and spanId nor gen_ai.response.id" in bad.reason


def test_an_evaluation_that_is_an_event_of_the_span_is_about_its_answer() -> None:
    span = {"traceId": "t", "spanId": "s", "startTimeUnixNano": "1700000000250000000", "attributes": {**CALL, **TEXTS}, "events": [
        {"name": "gen_ai.evaluation.result", "attributes": EVALUATION},
        {"name": "gen_ai.evaluation.result", "attributes": {"gen_ai.evaluation.name": "Relevance", "gen_ai.evaluation.score.value": 1.0}},
    ]}  # fmt: skip
    row = one(json.dumps(span))
    assert row.feedback is not None
    assert (row.feedback.rating, row.feedback.comment) == ("down", "late")
    assert row.left_out == ("the evaluation 'Relevance', of which nothing says that a person gave it",)


def test_attributes_with_text_that_is_not_read_are_named() -> None:
    more = {"app.documents.0.text": "a", "app.documents.1.text": "b", "server.address": "h", "gen_ai.retrieval.query.text": "c"}
    span = {"traceId": "t", "spanId": "s", "startTimeUnixNano": "1700000000250000000", "attributes": {**CALL, **TEXTS, **more}}
    assert one(json.dumps(span)).left_out == ("the field 'app.documents.N.text'", "the field 'gen_ai.retrieval.query.text'")


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
