"""Whatever a client or a file calls a conversation is read, or refused with a reason; nothing else happens."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.chat import Asked, conversation, newest_generation, next_generation, openai_messages, texts, tools_text, with_texts
from ftassets.domain.dataset.rows import parse_jsonl
from ftassets.gateway.engines import as_read

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)
FUNCTIONS = VALUES | st.fixed_dictionaries({"name": VALUES}, optional={"arguments": VALUES})
CALLS = VALUES | st.lists(VALUES | st.fixed_dictionaries({"function": FUNCTIONS}), max_size=2)
MESSAGES = st.lists(
    VALUES
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "developer", "user", "assistant", "tool"]) | VALUES},
        optional={"content": VALUES, "tool_calls": CALLS, "tool_call_id": VALUES, "name": VALUES, "weight": VALUES},
    ),
    max_size=4,
)


@given(messages=MESSAGES | VALUES, as_read=st.booleans())
@settings(max_examples=300, deadline=None)
def test_any_json_is_a_conversation_or_a_value_error(messages: Any, as_read: bool) -> None:
    try:
        read = conversation(messages, as_read=as_read)
    except ValueError:
        return
    # what was read is read the same again, and its texts can be taken out and put back
    assert conversation(openai_messages(read, text_arguments=True), as_read=True) == read
    assert with_texts(read, texts(read)) == read


@given(messages=MESSAGES)
@settings(max_examples=200, deadline=None)
def test_any_line_is_an_example_or_quarantined(messages: Any) -> None:
    rows, bad = parse_jsonl(json.dumps({"messages": messages}), "seed")
    assert len(rows) + len(bad) == 1


@pytest.mark.parametrize("calls", [5, True, 1.5, "f", {"name": "f"}])
def test_calls_that_are_no_list_are_refused_and_the_gateway_passes_them_on(calls: Any) -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": calls}, {"role": "user", "content": "b"}]
    with pytest.raises(ValueError, match="message 2: tool_calls is not a list"):
        conversation(messages, as_read=True)
    assert as_read(messages) == messages


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        (["user", "assistant"], "last message of a request"),
        (["system"], "last message of a request"),
        (["assistant", "tool"], "no message of role user"),
        (["user", "system", "user"], "after the first message"),
    ],
)
def test_a_request_waits_for_an_answer(roles: list[str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Asked(messages=conversation([{"role": role, "content": "x"} for role in roles]))


def test_a_generation_of_a_space_follows_the_newest_one_that_is_there() -> None:
    assert newest_generation("e", []) == newest_generation("e", ["e", "e+last_turn#7", "other#9", "e#v1"]) == "e"
    assert newest_generation("e", ["e", "e#2", "e#10"]) == "e#10"
    assert [next_generation(name) for name in ("e", "e#2", "e#9", "model#v1")] == ["e#2", "e#3", "e#10", "model#v1#2"]


def test_results_that_name_their_tool_have_the_ids_of_its_calls() -> None:
    def called(*names: str, **more: str) -> dict[str, Any]:
        return {"role": "assistant", "tool_calls": [{**more, "function": {"name": name, "arguments": "{}"}} for name in names]}

    ask = {"role": "user", "content": "q"}
    results = [{"role": "tool", "name": name, "content": name} for name in "gff"]
    read = conversation([ask, called("f", "f", "g"), *results])
    ids = [call.id for call in read[1].tool_calls or ()]
    assert len(set(ids)) == 3
    assert [message.tool_call_id for message in read[2:]] == [ids[2], ids[0], ids[1]]
    alone = conversation([ask, called("f"), results[1]])
    assert (alone[1].tool_calls[0].id, alone[2].tool_call_id) == (None, None)  # type: ignore[index]
    assert conversation([ask, called("f", "g", id="x"), results[0]], as_read=True)[2].tool_call_id is None


def test_tools_have_one_form() -> None:
    tool = {"name": "f", "parameters": {"type": "object"}}
    assert tools_text([tool]) == tools_text([{"type": "function", **tool}]) == tools_text([{"type": "function", "function": tool}])


@pytest.mark.parametrize("tool", [{}, {"type": "function", "function": None}, {"type": "web_search"}, {"function": {"name": 7}}])
def test_a_tool_that_no_template_can_write_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='"tools" has a tool without a function\'s name'):
        tools_text([tool])


def test_a_tool_may_give_nothing_back() -> None:
    called = {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    read = conversation([{"role": "user", "content": "q"}, called, {"role": "tool", "content": "", "tool_call_id": "1"}])
    assert Asked(messages=read).messages[-1].content == ""
