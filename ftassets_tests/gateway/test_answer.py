"""An answer has one form in the log, however it came."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.gateway.answer import Answer, tokens

LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.text(max_size=3)
NAMES = st.sampled_from(["content", "tool_calls", "function_call", "refusal", "reasoning_content", "function", "index", "text", "type"])
ANY = st.recursive(LEAVES, lambda x: st.lists(x, max_size=2) | st.dictionaries(NAMES, x, max_size=3), max_leaves=8)


def logged(*messages: Any) -> str:
    answer = Answer()
    for message in messages:
        answer.take(message)
    return answer.logged()


def call(name: str, arguments: Any, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **more}


@given(st.text(), st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=3), st.data())
def test_a_streamed_answer_is_logged_as_a_whole_one(text: str, called: list[tuple[str, str]], data: st.DataObject) -> None:
    calls = [call(name, arguments, id=f"c{number}") for number, (name, arguments) in enumerate(called)]
    whole = logged({"role": "assistant", "content": text or None, "tool_calls": calls or None})
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    pieces = data.draw(st.lists(st.integers(0, len(text))))
    cuts = sorted({0, *pieces, len(text)})
    deltas += [{"content": text[a:b]} for a, b in zip(cuts, cuts[1:], strict=False)]
    for index, each in enumerate(calls):
        cut = data.draw(st.integers(0, len(each["function"]["arguments"])))
        arguments = each["function"]["arguments"]
        deltas.append({"tool_calls": [{**each, "index": index, "function": {**each["function"], "arguments": arguments[:cut]}}]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": arguments[cut:]}}]})
    assert logged(*deltas) == whole
    assert (whole == text) == (not calls)


def test_the_forms() -> None:
    assert logged({"content": "hello"}) == logged({"content": [{"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}) == "hello"
    assert json.loads(logged({"tool_calls": [call("f", "{}", id="c")]})) == [call("f", "{}", id="c")]
    assert json.loads(logged({"content": "so", "tool_calls": [call("f", {"a": 1})]})) == [
        {"type": "text", "text": "so"}, call("f", '{"a":1}'),
    ]  # fmt: skip
    assert json.loads(logged({"function_call": {"name": "f", "arguments": "{}"}})) == [call("f", "{}")]
    assert logged({"content": None, "refusal": "I cannot"}) == "I cannot"
    assert (
        logged({"content": "yes", "reasoning_content": "hm"})
        == logged({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "yes"}]})
        == "yes"
    )


def test_calls_of_tools_are_no_json_answer_of_a_task_that_asks_for_one() -> None:
    assert not ToolCall().well_formed(logged({"content": "so", "tool_calls": [call("f", "{}")]}))


@given(st.lists(st.dictionaries(NAMES, ANY, max_size=4), max_size=3))
def test_nothing_that_a_server_sends_makes_it_fail(messages: list[Any]) -> None:
    json.dumps(logged(*messages, None, 5, "x", []))


def test_whether_a_piece_says_anything() -> None:
    says = [{"content": "x"}, {"reasoning": "x"}, {"tool_calls": [call("f", "")]}, {"refusal": "no"}, {"content": [{"type": "thinking"}]}]
    assert all(Answer().take(each) for each in says)
    says_nothing = [{"role": "assistant", "content": ""}, {}, None, {"content": None, "tool_calls": None}, {"tool_calls": [{"index": 0}]}]
    assert not any(Answer().take(each) for each in says_nothing)


@pytest.mark.parametrize(
    ("value", "count"), [(7, 7), (7.0, 7), (7.5, None), ("7", None), (-1, None), (None, None), (True, None), (10**30, None), (0, 0)]
)
def test_tokens(value: Any, count: int | None) -> None:
    assert tokens({"prompt_tokens": value}, "prompt_tokens") == count
    assert tokens(value, "prompt_tokens") is None
