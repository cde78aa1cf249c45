"""Traces as MLflow's own classes write them."""

import json
from typing import Any

import pytest

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.exchange import hashed_user
from ftassets.domain.traffic.imports import Row, fitting, read

BEGIN = 1_700_000_000_250_000_000
ASK = [{"role": "system", "content": "Name the queue."}, {"role": "user", "content": "my invoice is wrong"}]


def answered(text: str = '{"queue": "billing"}', reason: str = "stop") -> dict[str, Any]:
    message = {"role": "assistant", "content": text, "refusal": None, "tool_calls": None}
    return {"choices": [{"index": 0, "finish_reason": reason, "message": message}], "usage": {"total_tokens": 9}}


def trace(*spans: tuple[str, str | None, str, Any, Any], assessments: tuple[Any, ...] = (), user: str | None = "kim") -> str:
    """`Trace.to_json` of spans (id, parent, type, inputs, outputs)."""
    from mlflow.entities import Span, Trace, TraceData, TraceInfo, TraceLocation, TraceState
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Status, StatusCode

    made = []
    for number, (name, parent, kind, inputs, outputs) in enumerate(spans):
        attributes = {
            "mlflow.traceRequestId": "tr-1", "mlflow.spanType": kind, "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs,
            "mlflow.llm.model": "old-model", "mlflow.chat.tokenUsage": {"input_tokens": 7, "output_tokens": 2},
        }  # fmt: skip
        context = SpanContext(trace_id=1, span_id=int(name, 16), is_remote=False)
        above = SpanContext(trace_id=1, span_id=int(parent, 16), is_remote=False) if parent else None
        failed = outputs is None
        made.append(
            Span(
                ReadableSpan(
                    name=name, context=context, parent=above, start_time=BEGIN + number, end_time=BEGIN + 120_000_000 + number,
                    attributes={key: json.dumps(value) for key, value in attributes.items() if value is not None},
                    status=Status(StatusCode.ERROR, "timeout") if failed else Status(StatusCode.OK),
                )
            )
        )  # fmt: skip
    info = TraceInfo(
        trace_id="tr-1", trace_location=TraceLocation.from_experiment_id("1"), request_time=BEGIN // 10**6, state=TraceState.OK,
        trace_metadata={"mlflow.trace.user": user} if user else {}, assessments=list(assessments),
    )  # fmt: skip
    text: str = Trace(info=info, data=TraceData(spans=made)).to_json()
    return text


def feedback(name: str, value: Any, kind: str = "HUMAN", **fields: Any) -> Any:
    from mlflow.entities import AssessmentSource, Feedback

    source = AssessmentSource(source_type=kind, source_id="ann")
    return Feedback(
        name=name, value=value, source=source, create_time_ms=BEGIN // 10**6 + 1, last_update_time_ms=BEGIN // 10**6 + 1, **fields
    )


def expectation(name: str, value: Any) -> Any:
    from mlflow.entities import AssessmentSource, Expectation

    return Expectation(name=name, value=value, source=AssessmentSource(source_type="HUMAN", source_id="ann"))


def found(text: str) -> list[Row | Quarantined]:
    return list(read([text.encode()], "mlflow", "support"))


def one(text: str) -> Row:
    (row,) = found(text)
    assert isinstance(row, Row), row
    return row


CALL = ("a", None, "CHAT_MODEL", {"model": "alias", "messages": ASK, "user": "u"}, answered())


@pytest.mark.parametrize("wrapped", ["trace", "page", "table", "array"])
def test_a_model_call_is_an_exchange_with_what_people_think_of_it(wrapped: str) -> None:
    text = trace(CALL, assessments=(feedback("thumbs_up", True), feedback("relevance_to_query", "no", "LLM_JUDGE")))
    written = {
        "trace": text,
        "page": json.dumps({"traces": [json.loads(text)], "next_page_token": "x"}),
        "table": json.dumps({"trace_id": "tr-1", "trace": text, "state": "OK"}),
        "array": f"[{text}]",
    }
    row = one(written[wrapped])
    exchange = row.exchange
    assert (exchange.id, exchange.version, exchange.user) == ("mlflow:tr-1-000000000000000a", "old-model", hashed_user("kim"))
    assert (json.loads(exchange.messages), exchange.answer, exchange.status) == (ASK, '{"queue": "billing"}', 200)
    assert (exchange.at, exchange.latency_ms) == (pytest.approx(1_700_000_000.25), pytest.approx(120, abs=0.01))
    assert (exchange.tokens_in, exchange.tokens_out, row.cut) == (7, 2, False)
    assert row.feedback is not None
    assert (row.feedback.request_id, row.feedback.rating, row.feedback.correction) == (exchange.id, "up", None)
    assert row.feedback.at == pytest.approx(1_700_000_000.251)


def test_calls_within_calls_count_once_and_a_trace_is_about_the_call_that_gave_its_answer() -> None:
    text = trace(
        ("1", None, "AGENT", {"question": "q"}, "It is late."),
        ("2", "1", "CHAT_MODEL", {"messages": ASK}, answered("search the wiki")),
        ("3", "2", "LLM", {"messages": ASK}, answered("search the wiki")),
        ("4", "1", "TOOL", {"name": "wiki"}, "a page"),
        (
            "5",
            "1",
            "CHAT_MODEL",
            {"messages": [*ASK, {"role": "assistant", "content": "search the wiki"}, ASK[1]]},
            answered("It is late."),
        ),
        ("6", "1", "CHAT_MODEL", {"messages": [{"role": "user", "content": "title for this chat"}]}, answered("Parcels")),
        assessments=(feedback("correct", False, rationale="not today"), expectation("expected_response", "It comes today.")),
    )
    rows = [row for row in found(text) if isinstance(row, Row)]
    assert [(row.exchange.id[-1], row.exchange.answer) for row in rows] == [
        ("2", "search the wiki"),
        ("5", "It is late."),
        ("6", "Parcels"),
    ]
    about = [row.feedback and (row.feedback.rating, row.feedback.correction, row.feedback.comment) for row in rows]
    assert about == [None, ("down", "It comes today.", "not today"), None]


def test_an_assessment_of_a_span_is_about_that_span() -> None:
    text = trace(
        CALL,
        ("b", None, "CHAT_MODEL", {"messages": ASK}, answered("x")),
        assessments=(feedback("thumb", "down", span_id="000000000000000a"),),
    )
    spans = json.loads(text)["data"]["spans"]
    named = json.loads(text)
    named["info"]["assessments"][0]["span_id"] = spans[0]["span_id"]
    first, second = found(json.dumps(named))
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.feedback and first.feedback.rating, second.feedback) == ("down", None)


def test_messages_of_langchain_and_a_cut_answer_are_read() -> None:
    human = {"content": "where is it?", "additional_kwargs": {}, "type": "human", "name": None, "id": None, "example": False}
    ai = {"content": "It is on its", "type": "ai", "response_metadata": {"finish_reason": "length"}, "tool_calls": [], "id": "run-1"}
    outputs = {
        "generations": [[{"text": "It is on its", "generation_info": {"finish_reason": "length"}, "message": ai, "type": "ChatGeneration"}]]
    }
    row = one(trace(("a", None, "CHAT_MODEL", [[human]], outputs)))
    assert (json.loads(row.exchange.messages), row.exchange.answer) == ([{"role": "user", "content": "where is it?"}], "It is on its")
    assert row.cut
    assert one(trace(("a", None, "CHAT_MODEL", [[human]], ai))).cut


def test_a_traced_function_without_model_calls_is_a_call_of_its_own() -> None:
    assert one(trace(("a", None, "CHAIN", {"q": "where is it?"}, "in Hamburg"))).exchange.prompt == "where is it?"


def test_a_failed_call_has_no_answer() -> None:
    exchange = one(trace(("a", None, "CHAT_MODEL", {"messages": ASK}, None))).exchange
    assert (exchange.status, exchange.error, exchange.answer) == (502, "timeout", "")


@pytest.mark.parametrize(
    ("assessment", "reason"),
    [
        (("stars", 3), "the feedback 'stars' with the value '3.0' is neither a thumb up nor a thumb down"),
        (("toxic", True), "the feedback 'toxic'"),
        (("thumbs", "maybe"), "the feedback 'thumbs'"),
    ],
)
def test_feedback_that_is_no_thumb_refuses_the_call_by_name(assessment: tuple[str, Any], reason: str) -> None:
    (refused,) = found(trace(CALL, assessments=(feedback(*assessment),)))
    assert isinstance(refused, Quarantined)
    assert reason in refused.reason


def test_an_expectation_that_is_no_answer_refuses_the_call_by_name() -> None:
    (refused,) = found(trace(CALL, assessments=(expectation("guidelines", "be kind"),)))
    assert isinstance(refused, Quarantined)
    assert "the expectation 'guidelines' is not an expected answer" in refused.reason


def test_traces_of_the_second_format_are_read() -> None:
    span = {
        "name": "c", "context": {"span_id": "0x1", "trace_id": "0x2"}, "parent_id": None, "start_time": BEGIN, "end_time": BEGIN + 10**6,
        "status_code": "OK", "status_message": "", "events": [], "attributes": {
            "mlflow.spanType": '"CHAT_MODEL"', "mlflow.spanInputs": json.dumps({"messages": ASK}),
            "mlflow.spanOutputs": json.dumps(answered()),
        },
    }  # fmt: skip
    info = {"request_id": "2f", "timestamp_ms": BEGIN // 10**6, "status": "OK", "request_metadata": {"mlflow.trace.user": "kim"}}
    row = one(json.dumps({"info": info, "data": {"spans": [span], "request": "{}", "response": "{}"}}))
    assert (row.exchange.id, row.exchange.user) == ("mlflow:2f-1", hashed_user("kim"))


@pytest.mark.parametrize("assessed", [True, False])
def test_a_table_of_traces_is_no_other_format_than_mlflows(assessed: bool) -> None:
    """OpenTelemetry's spans are in it, and OpenAI's request and response: they know no feedback and no user."""
    text = trace(CALL, CALL, CALL, assessments=(feedback("thumbs_up", True),) if assessed else ())
    known = json.loads(text)
    row = {
        "trace_id": "tr-1", "trace": text, "spans": known["data"]["spans"], "assessments": known["info"].get("assessments", []),
        "trace_metadata": known["info"]["trace_metadata"], "request": {"model": "alias", "messages": ASK}, "response": answered(),
    }  # fmt: skip
    assert fitting([json.dumps(row).encode()])[0] == "mlflow"
    stars = row | {"trace": trace(CALL, assessments=(feedback("stars", 3),)), "assessments": [{"assessment_name": "stars"}]}
    assert fitting([json.dumps(stars).encode()]) == []
