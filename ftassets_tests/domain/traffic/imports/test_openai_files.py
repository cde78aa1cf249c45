"""Files of OpenAI's platform, as its own types write them where it has some."""

import json
from typing import Any

import pytest

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.imports import Row, fitting, read

ASK = [{"role": "user", "content": "where is it?"}]
TOOL = {"type": "function", "function": {"name": "find_order", "parameters": {"type": "object"}}}


def one(record: Any) -> Row:
    (found,) = read([json.dumps(record).encode()], "openai", "support", at=1e9)
    assert isinstance(found, Row), found
    return found


def completion(**choice: Any) -> dict[str, Any]:
    from openai.types.chat import ChatCompletion

    fields = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": {"role": "assistant", "content": "in Hamburg"}, **choice}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    made = ChatCompletion.model_validate(
        {"id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "m", "choices": [fields], "usage": usage}
    )
    return made.model_dump(mode="json")


def test_examples_for_fine_tuning_are_conversations() -> None:
    answers = [{"role": "assistant", "content": text, "weight": weight} for text, weight in (("a", 0), ("b", 1))]
    row = one({"messages": [*ASK, answers[0], *ASK, answers[1]], "tools": [TOOL], "parallel_tool_calls": False})
    stored = json.loads(row.exchange.messages)
    assert (stored["tools"], len(stored["messages"]), row.exchange.answer, row.feedback) == ([TOOL], 3, "b", None)


def test_a_preference_is_an_answer_with_its_correction() -> None:
    record = {
        "input": {"messages": ASK, "tools": [TOOL], "parallel_tool_calls": True},
        "preferred_output": [{"role": "assistant", "content": "in Hamburg"}],
        "non_preferred_output": [{"role": "assistant", "content": "no idea"}],
    }
    row = one(record)
    assert row.exchange.answer == "no idea"
    assert row.feedback is not None
    assert (row.feedback.rating, row.feedback.correction) == ("down", "in Hamburg")
    assert json.loads(row.exchange.messages) == {"messages": ASK, "tools": [TOOL]}
    assert one(record).exchange.id == row.exchange.id
    assert fitting([json.dumps(record).encode()]) == ["openai"]
    (refused,) = read([json.dumps({**record, "input": {"messages": ASK, "context": "a page"}}).encode()], "openai", "support", at=1e9)
    assert isinstance(refused, Quarantined)
    assert "the field 'context'" in refused.reason


@pytest.mark.parametrize("shape", ["messages", "request", "body", "page"])
def test_completions_with_what_was_asked_are_read(shape: str) -> None:
    request = {"model": "alias", "messages": ASK, "user": "kim", "tools": [TOOL], "temperature": 0.2, "metadata": {"a": "b"}}
    record: Any = {
        "messages": {**completion(), "messages": ASK, "tools": [TOOL], "input_user": "kim"},
        "request": {"request": request, "response": completion()},
        "body": {
            "custom_id": "7",
            "body": request,
            "response": {"status_code": 200, "request_id": "r", "body": completion()},
            "error": None,
        },
        "page": {"object": "list", "data": [{**completion(), "messages": ASK, "tools": [TOOL]}], "has_more": False},
    }[shape]
    exchange = one(record).exchange
    assert (exchange.id, exchange.version, exchange.answer, exchange.at) == ("openai:chatcmpl-1", "m", "in Hamburg", 1_700_000_000)
    assert (exchange.tokens_in, exchange.tokens_out) == (7, 2)
    assert json.loads(exchange.messages) == {"messages": ASK, "tools": [TOOL]}


@pytest.mark.parametrize(("reason", "cut"), [("stop", False), ("length", True), ("content_filter", True)])
def test_an_answer_that_was_stopped_is_cut(reason: str, cut: bool) -> None:
    assert one({**completion(finish_reason=reason), "messages": ASK}).cut is cut


def test_responses_are_read() -> None:
    from openai.types.responses import Response

    made = Response.model_validate({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000.0, "model": "m", "status": "incomplete",
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "instructions": "Be brief.", "incomplete_details": {"reason": "max_output_tokens"},
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "incomplete",
             "content": [{"type": "output_text", "text": "in Ham", "annotations": []}]},
        ],
        "usage": {"input_tokens": 7, "output_tokens": 2, "total_tokens": 9,
                  "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
    })  # fmt: skip
    row = one({**made.model_dump(mode="json"), "input": "where is it?"})
    assert json.loads(row.exchange.messages) == [{"role": "system", "content": "Be brief."}, *ASK]
    assert (row.exchange.answer, row.cut, row.exchange.tokens_in) == ("in Ham", True, 7)


def test_a_failed_request_has_no_answer() -> None:
    record = {
        "request": {"messages": ASK},
        "response": {"status_code": 429, "body": {"error": {"message": "slow down", "type": "rate_limit_error"}}},
    }
    exchange = one(record).exchange
    assert (exchange.status, exchange.error, exchange.answer) == (429, "rate_limit_error", "")


def test_the_first_choice_is_the_one_of_the_lowest_number() -> None:
    choices = [{"index": n, "finish_reason": "stop", "message": {"role": "assistant", "content": f"answer {n}"}} for n in (1, 0)]
    assert one({**completion(), "messages": ASK, "choices": choices}).exchange.answer == "answer 0"


def test_a_refusal_is_no_good_answer() -> None:
    refused = completion(message={"role": "assistant", "content": None, "refusal": "I can't"})
    row = one({**refused, "messages": ASK})
    assert (row.exchange.answer, row.cut) == ("I can't", True)


def test_a_preference_of_several_messages_is_refused_by_name() -> None:
    said = [{"role": "assistant", "content": text} for text in ("one", "two")]
    record = {"input": {"messages": ASK}, "preferred_output": said, "non_preferred_output": said[:1]}
    (refused,) = read([json.dumps(record).encode()], "openai", "support", at=1e9)
    assert isinstance(refused, Quarantined)
    assert refused.reason == "the field 'preferred_output' has 2 messages: an answer is one"


@pytest.mark.parametrize("field", ["feedback", "scores", "assessments", "annotations", "label"])
def test_what_people_said_of_a_logged_answer_is_used_or_refused_by_name(field: str) -> None:
    record = {"request": {"messages": ASK}, "response": completion()}
    row = one({**record, "rating": "down", "correction": "in Bremen"})
    assert row.feedback is not None
    assert (row.feedback.rating, row.feedback.correction) == ("down", "in Bremen")
    (refused,) = read([json.dumps({**record, field: [{"name": "stars", "value": 3}]}).encode()], "openai", "support", at=1e9)
    assert isinstance(refused, Quarantined)
    assert f"the field {field!r}" in refused.reason
