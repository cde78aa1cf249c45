"""Annotations of Phoenix: on spans, and in records of their own as its client and API give them."""

import json
from typing import Any

import pytest

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports import Assessed, Row, read

# what arize-phoenix-client 3.5.0 gives: get_span_annotations, the table of get_span_annotations_dataframe, and what it sends
HUMAN = {
    "id": "QW5ub3RhdGlvbjox", "created_at": "2026-11-01T09:00:00+00:00", "updated_at": "2026-11-01T09:05:00+00:00", "source": "APP",
    "user_id": None, "name": "correctness", "annotator_kind": "HUMAN", "metadata": {}, "identifier": "", "span_id": "eee19b7ec3c1b174",
    "result": {"label": "incorrect", "score": 0.0, "explanation": "wrong queue"},
}  # fmt: skip
TABLE = {
    "span_id": "eee19b7ec3c1b174", "id": "QW5ub3RhdGlvbjox", "created_at": "2026-11-01T09:00:00+00:00",
    "updated_at": "2026-11-01T09:05:00+00:00", "source": "APP", "user_id": None, "annotation_name": "correctness",
    "annotator_kind": "HUMAN", "metadata": {}, "identifier": "", "result.label": "incorrect", "result.score": 0.0,
    "result.explanation": "wrong queue",
}  # fmt: skip
SENT = {"name": "user_feedback", "annotator_kind": "HUMAN", "span_id": "eee19b7ec3c1b174", "result": {"label": "thumbs-up", "score": 1}}
SPAN = {
    "name": "ChatCompletion", "context": {"trace_id": "5b8e", "span_id": "eee19b7ec3c1b174"}, "span_kind": "LLM", "status_code": "OK",
    "start_time": "2026-11-01T08:15:00+00:00", "end_time": "2026-11-01T08:15:01+00:00", "status_message": "",
    "attributes": {
        "llm.model_name": "m", "llm.input_messages.0.message.role": "user", "llm.input_messages.0.message.content": "where is it?",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "in Hamburg",
    },
}  # fmt: skip


def found_in(*records: Any) -> list[Row | Assessed | Quarantined]:
    return list(read([json.dumps(each).encode() + b"\n" for each in records], "openinference", "support"))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (HUMAN, ("down", None, "wrong queue", 1_793_523_900.0)),
        (TABLE, ("down", None, "wrong queue", 1_793_523_900.0)),
        ({"data": [HUMAN], "next_cursor": None}, ("down", None, "wrong queue", 1_793_523_900.0)),
        (SENT, ("up", None, None, None)),
        ({**HUMAN, "name": "note", "result": {"explanation": "odd"}}, (None, None, "odd", 1_793_523_900.0)),
        ({**SENT, "name": "correction", "result": {"label": "{}", "explanation": "so"}}, (None, "{}", "so", None)),
        ({**SENT, "name": "expected_output", "result": {"explanation": "{}"}}, (None, "{}", None, None)),
        ({**SENT, "result": {"score": 0}}, ("down", None, None, None)),
    ],
)
def test_an_annotation_of_a_person_is_feedback_on_its_span(record: Any, said: tuple[Any, ...]) -> None:
    (found,) = found_in(record)
    assert isinstance(found, Assessed), found
    assert found.about == ("span:eee19b7ec3c1b174",)
    assert found.feedback is not None
    assert (found.feedback.rating, found.feedback.correction, found.feedback.comment, found.feedback.at) == said


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"annotator_kind": "LLM"}, "the annotation 'correctness' of a model"),
        ({"annotator_kind": "CODE"}, "the annotation 'correctness' of code"),
        ({"document_position": 2}, "the annotation 'correctness' of a document"),
    ],
)
def test_an_annotation_of_a_model_is_left_out_by_name(fields: dict[str, Any], name: str) -> None:
    (found,) = found_in({**HUMAN, **fields})
    assert isinstance(found, Assessed)
    assert (found.feedback, found.left_out) == (None, (name,))


def test_an_annotation_that_is_no_thumb_or_about_no_answer_is_quarantined() -> None:
    stars, session = {**SENT, "result": {"score": 4}}, {**{name: SENT[name] for name in SENT if name != "span_id"}, "session_id": "x"}
    reasons = [each.reason for each in found_in(stars, session) if isinstance(each, Quarantined)]
    assert len(reasons) == 2
    assert "'user_feedback' with the value '4' is neither a thumb up nor a thumb down" in reasons[0]
    assert "it names neither a span nor a trace" in reasons[1]


def test_annotations_on_a_span_of_phoenix_are_feedback_on_it() -> None:
    notes = {
        "annotations.0.annotation.name": "user_feedback", "annotations.0.annotation.label": "thumbs-down",
        "annotations.0.annotation.annotator_kind": "HUMAN", "annotations.1.annotation.name": "toxicity",
        "annotations.1.annotation.score": 0.1, "annotations.1.annotation.annotator_kind": "LLM", "metadata": '{"doc": "x"}',
    }  # fmt: skip
    row, chain = found_in(
        {"data": [{**SPAN, "attributes": {**SPAN["attributes"], **notes}}, {**SPAN, "span_kind": "CHAIN"}], "next_cursor": None}
    )
    assert isinstance(row, Row)
    assert row.feedback is not None
    assert (row.exchange.id, row.feedback.rating) == ("openinference:5b8e-eee19b7ec3c1b174", "down")
    assert row.names == ("span:eee19b7ec3c1b174", "trace:5b8e")
    assert row.left_out == ("the field 'metadata'", "the annotation 'toxicity' of a model")
    assert isinstance(chain, Quarantined)
    failed = {**SPAN, "status_code": "ERROR", "status_message": "RateLimitError: slow down"}
    (row,) = found_in(failed)
    assert isinstance(row, Row)
    assert (row.exchange.status, row.exchange.error) == (502, "RateLimitError")


def response(*items: Any, **fields: Any) -> dict[str, Any]:
    """A span as openinference-instrumentation-openai writes it of the Responses API: each item of the response is an output message."""
    attributes = {
        "openinference.span.kind": "LLM",
        "input.value": json.dumps({"model": "m", "input": "where is it?", "instructions": "Be brief.", **fields}),
        "output.value": json.dumps({"object": "response", "output": items}),
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.content": "where is it?",
        **{f"llm.output_messages.{number}.message.role": "assistant" for number in range(len(items))},
    }
    return {**SPAN, "attributes": attributes}


REASONING = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
TEXT = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "in Hamburg"}]}
CALLED = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}


def test_a_response_of_the_responses_api_is_read_whole() -> None:
    (found,) = found_in(response(REASONING, TEXT, TEXT))
    assert isinstance(found, Row), found
    assert found.exchange.answer == "in Hamburg\nin Hamburg"
    assert [message["content"] for message in json.loads(found.exchange.messages)] == ["Be brief.", "where is it?"]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (response(CALLED, CALLED), "the answer calls 2 tools"),
        (response(TEXT, CALLED), "has text next to the call"),
        (response({"type": "web_search_call"}, TEXT), "a part of type 'web_search_call' is not text"),
        (response(TEXT, previous_response_id="r"), "'previous_response_id' stands for what is not in the record"),
        (response(TEXT, input=[{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]), "'input_file' is not text"),
    ],
)
def test_what_such_a_response_has_besides_one_text_or_call_is_told_by_name(record: Any, reason: str) -> None:
    (found,) = found_in(record)
    assert isinstance(found, Quarantined), found
    assert reason in found.reason


def test_output_messages_of_which_nothing_says_what_they_are_together_are_refused() -> None:
    more = {"llm.output_messages.1.message.role": "assistant", "llm.output_messages.1.message.content": "in Bremen"}
    (found,) = found_in({**SPAN, "attributes": {**SPAN["attributes"], **more}})
    assert isinstance(found, Quarantined), found
    assert "2 output messages" in found.reason
