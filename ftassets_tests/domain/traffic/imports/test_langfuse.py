"""Scores of Langfuse's traces, and the blob export's way of writing texts."""

import json
from typing import Any

import pytest

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports import Assessed, Row, read

AT = "2026-11-01T08:15:00.000Z"
ASK = [{"role": "user", "content": "where is it?"}]


def generation(name: str, answer: str, at: str = AT) -> dict[str, Any]:
    return {
        "id": name,
        "traceId": "t",
        "type": "GENERATION",
        "startTime": at,
        "model": "m",
        "input": ASK,
        "output": {"role": "assistant", "content": answer},
    }


def score(name: str, value: float, kind: str = "NUMERIC", **fields: Any) -> dict[str, Any]:
    return {"id": f"s-{name}", "traceId": "t", "name": name, "value": value, "dataType": kind, "source": "API", "timestamp": AT,
            "createdAt": AT, "updatedAt": AT, "environment": "default", **fields}  # fmt: skip


def trace(*scores: dict[str, Any], observations: Any = None) -> list[Row | Quarantined]:
    """The calls of a trace as GET /api/public/traces/ID gives it."""
    inner = observations or [
        generation("o1", "Let me see.", "2026-11-01T08:14:00Z"),
        {"id": "s", "type": "SPAN"},
        generation("o2", "in Hamburg"),
    ]
    whole = {"id": "t", "timestamp": AT, "userId": "kim", "input": None, "output": None, "observations": inner, "scores": list(scores)}
    return [each for each in read([json.dumps(whole).encode()], "langfuse", "support") if not isinstance(each, Assessed)]


@pytest.mark.parametrize(
    ("given", "rating", "correction"),
    [
        (score("user-feedback", 1), "up", None),
        (score("user-feedback", 0, "BOOLEAN", stringValue="False"), "down", None),
        (score("thumb", 0, "CATEGORICAL", stringValue="up"), "up", None),
        (score("output", 0, "CORRECTION", stringValue="It is in Hamburg."), None, "It is in Hamburg."),
    ],
)
def test_a_score_by_people_is_feedback_on_the_last_call(given: dict[str, Any], rating: str | None, correction: str | None) -> None:
    first, last = trace(given, score("user-feedback", 0.3, source="EVAL"))
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert first.feedback is None
    assert last.left_out == ("the score 'user-feedback' of an evaluator",)
    assert last.feedback is not None
    assert (last.exchange.id, last.feedback.rating, last.feedback.correction) == ("langfuse:o2", rating, correction)


def test_the_comment_of_a_score_is_kept() -> None:
    _, last = trace(score("user-feedback", 0, comment="opens the wrong door"), score("user-feedback", 0, comment=None))
    assert isinstance(last, Row)
    assert last.feedback is not None
    assert (last.feedback.rating, last.feedback.comment) == ("down", "opens the wrong door")


def test_a_score_of_an_observation_is_about_that_one() -> None:
    first, last = trace(score("user-feedback", 0, observationId="o1"))
    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert (first.feedback and first.feedback.rating, last.feedback) == ("down", None)


def test_a_score_that_is_no_thumb_refuses_its_call_by_name() -> None:
    first, last = trace(score("stars", 4))
    assert isinstance(first, Row)
    assert isinstance(last, Quarantined)
    assert "the feedback 'stars' with the value '4'" in last.reason


def test_the_blob_export_writes_texts_as_json_and_the_api_does_not() -> None:
    blob = {
        "id": "o",
        "type": "GENERATION",
        "start_time": "2026-11-01 08:15:00.000000",
        "input": json.dumps("where is it?"),
        "output": json.dumps('in "Hamburg"'),
    }
    (row,) = read([json.dumps(blob).encode()], "langfuse", "support")
    assert isinstance(row, Row)
    assert (row.exchange.prompt, row.exchange.answer) == ("where is it?", 'in "Hamburg"')
    api = {**generation("o", ""), "output": '"quoted"'}
    (row,) = read([json.dumps(api).encode()], "langfuse", "support")
    assert isinstance(row, Row)
    assert row.exchange.answer == '"quoted"'


@pytest.mark.parametrize("answer", [
    {"choices": [{"finish_reason": "length", "message": {"role": "assistant", "content": "in Ham"}}]},
    {"role": "assistant", "content": [{"type": "text", "text": "in Ham"}], "stop_reason": "max_tokens"},
    {"candidates": [{"content": {"role": "model", "parts": [{"text": "in Ham"}]}, "finishReason": "MAX_TOKENS"}]},
    {"message": {"role": "assistant", "content": "in Ham"}, "done": True, "done_reason": "length"},
    {"content": "in Ham", "type": "ai", "response_metadata": {"stop_reason": "max_tokens"}},
])  # fmt: skip
def test_an_answer_cut_at_the_token_limit_is_known_in_the_words_of_each_api(answer: dict[str, Any]) -> None:
    (row,) = read([json.dumps({**generation("o", ""), "output": answer}).encode()], "langfuse", "support")
    assert isinstance(row, Row)
    assert (row.exchange.answer, row.cut) == ("in Ham", True)


# as the models of langfuse 5.0.4 write them, and a row of the blob export's `scores/`
OWN = {"id": "s1", "name": "user-feedback", "source": "API", "timestamp": "2026-11-01T09:00:00Z", "environment": "default",
    "createdAt": "2026-11-01T09:00:00Z", "updatedAt": "2026-11-01T09:00:00Z"}  # fmt: skip
OBSERVATION = {**OWN, "traceId": "t1", "observationId": "o1"}
V3 = {**OWN, "projectId": "p", "dataType": "BOOLEAN", "value": True}
BLOB = {
    "id": "s1", "timestamp": "2026-11-01 09:00:00.000000", "project_id": "p", "environment": "default", "trace_id": "t1",
    "observation_id": None, "session_id": None, "dataset_run_id": None, "name": "thumb", "value": 0.0, "source": "ANNOTATION",
    "comment": "late", "data_type": "CATEGORICAL", "string_value": "down", "created_at": "2026-11-01 09:00:00.000000",
    "updated_at": "2026-11-02 09:00:00.000000",
}  # fmt: skip


@pytest.mark.parametrize(
    ("record", "about", "said"),
    [
        ({**OBSERVATION, "dataType": "NUMERIC", "value": 1.0}, "langfuse:o1", ("up", None, None)),
        ({**OBSERVATION, "dataType": "BOOLEAN", "value": 0.0, "stringValue": "False"}, "langfuse:o1", ("down", None, None)),
        ({**OBSERVATION, "dataType": "CATEGORICAL", "value": 0.0, "stringValue": "up"}, "langfuse:o1", ("up", None, None)),
        (
            {**OBSERVATION, "name": "output", "dataType": "CORRECTION", "value": 0.0, "stringValue": "{}"},
            "langfuse:o1",
            (None, "{}", None),
        ),
        ({**OBSERVATION, "dataType": "TEXT", "value": 0.0, "stringValue": "too long"}, "langfuse:o1", (None, None, "too long")),
        ({**V3, "subject": {"kind": "trace", "id": "t1"}}, "trace:t1", ("up", None, None)),
        (
            {**V3, "dataType": "CORRECTION", "value": "{}", "subject": {"kind": "observation", "id": "o1", "traceId": "t1"}},
            "langfuse:o1",
            (None, "{}", None),
        ),
        (BLOB, "trace:t1", ("down", None, "late")),
    ],
)
def test_a_score_in_a_record_of_its_own_is_about_the_answer_that_it_names(
    record: dict[str, Any], about: str, said: tuple[str | None, ...]
) -> None:
    (found,) = read([json.dumps({"data": [record], "meta": {}}).encode()], "langfuse", "support")
    assert isinstance(found, Assessed), found
    assert found.about[0] == about
    assert found.feedback is not None
    assert (found.feedback.rating, found.feedback.correction, found.feedback.comment) == said
    assert found.feedback.at == (1_793_610_000.0 if record is BLOB else 1_793_523_600.0)  # of its last change


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"source": "EVAL", "name": "user-feedback"}, "the score 'user-feedback' of an evaluator"),
        ({"name": "faithfulness"}, "the score 'faithfulness', of which nothing says that a person gave it"),
        ({"name": "correctness"}, "the score 'correctness', of which nothing says that a person gave it"),
    ],
)
def test_a_score_that_no_person_gave_is_left_out_by_name(fields: dict[str, Any], name: str) -> None:
    (found,) = read([json.dumps({**OBSERVATION, "dataType": "NUMERIC", "value": 1.0, **fields}).encode()], "langfuse", "support")
    assert isinstance(found, Assessed)
    assert (found.feedback, found.left_out) == (None, (name,))


def test_a_score_of_a_session_and_one_from_the_future_are_quarantined() -> None:
    session = {**OWN, "sessionId": "x", "dataType": "NUMERIC", "value": 1.0}
    late = {**OBSERVATION, "dataType": "NUMERIC", "value": 1.0, "updatedAt": "2099-01-01T00:00:00Z"}
    found = list(read([json.dumps(each).encode() + b"\n" for each in (session, late)], "langfuse", "support", now=1.8e9))
    assert all(isinstance(each, Quarantined) for each in found)
    reasons = [each.reason for each in found if isinstance(each, Quarantined)]
    assert "neither an observation nor a trace" in reasons[0]
    assert "2099-01-01 cannot be right" in reasons[1]


def test_fields_with_text_that_is_not_read_are_named() -> None:
    (row,) = read(
        [json.dumps({**generation("o", "x"), "environment": "default", "metadata": {"doc": "x"}, "expectedOutput": "{}"}).encode()],
        "langfuse",
        "support",
    )
    assert isinstance(row, Row)
    assert row.left_out == ("the field 'expectedOutput'", "the field 'metadata'")
