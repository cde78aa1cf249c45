"""Scores of Langfuse's traces, and the blob export's way of writing texts."""

import json
from typing import Any

import pytest

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports import Row, read

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
    return list(read([json.dumps(whole).encode()], "langfuse", "support"))


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
