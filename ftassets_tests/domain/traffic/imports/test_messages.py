"""Messages as other systems write them, in OpenAI's form: all that is text, or a reason that names what is not."""

import json
from typing import Any

import pytest

from ftassets.domain.chat import Message, ToolCall
from ftassets.domain.traffic.imports.fields import Call
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, decoded

CALL = ToolCall(id="c1", name="find_order", arguments='{"number": 7}')
CALLED = Message(role="assistant", tool_calls=(CALL,))
RESULT = Message(role="tool", content="in Hamburg", tool_call_id="c1")
USER = {"role": "user", "content": "where is it?"}


@pytest.mark.parametrize(
    ("called", "result"),
    [
        (
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"number": 7}'}}]},
            {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "in Hamburg"}], "name": "find_order"},
        ),
        (  # Anthropic
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "tool_use", "id": "c1", "name": "find_order",
                "input": {"number": 7}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "in Hamburg"}]}]},
        ),
        (  # OpenTelemetry
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "find_order", "arguments": {"number": 7}}],
             "finish_reason": "tool_call"},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "in Hamburg"}]},
        ),
        (  # LangChain, with the call in the content too
            {"role": "ai", "content": [{"type": "tool_use", "id": "c1", "name": "find_order", "input": {"number": 7}}],
             "tool_calls": [{"name": "find_order", "args": {"number": 7}, "id": "c1", "type": "tool_call"}], "usage_metadata": {"a": "b"}},
            {"role": "tool", "content": "in Hamburg", "tool_call_id": "c1"},
        ),
        (
            {"role": "assistant", "content": "", "additional_kwargs": {"tool_calls": [
                {"id": "c1", "function": {"name": "find_order", "arguments": {"number": 7}}}]}},
            {"role": "tool", "content": "in Hamburg", "tool_call_id": "c1"},
        ),
        (  # items of the Responses API
            {"type": "function_call", "call_id": "c1", "id": "fc_9", "name": "find_order", "arguments": '{"number": 7}'},
            {"type": "function_call_output", "call_id": "c1", "output": "in Hamburg"},
        ),
    ],
)  # fmt: skip
def test_calls_and_results_of_any_system_are_those_of_openai(called: dict, result: dict) -> None:
    asked = asked_of([USER, called, result])
    assert asked.messages == (Message(role="user", content="where is it?"), CALLED, RESULT)


def test_a_call_that_stands_in_the_content_too_is_one_call() -> None:
    part = {"type": "tool_use", "id": "1", "name": "f", "input": {}}
    listed = {"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}
    [message] = asked_of([USER, {"role": "assistant", "content": [part], "tool_calls": [listed]}, USER]).messages[1:-1]
    assert [(call.name, json.loads(call.arguments)) for call in message.tool_calls or ()] == [("f", {"a": 1})]


def test_parallel_calls_without_ids_of_their_own_all_stay() -> None:
    calls = [{"id": "", "function": {"name": name, "arguments": "{}"}} for name in "fg"]
    messages = asked_of([USER, {"role": "assistant", "tool_calls": calls}, *({"role": "tool", "content": c} for c in "ab"), USER]).messages
    assert [call.name for call in messages[1].tool_calls or ()] == ["f", "g"]
    assert [message.content for message in messages[2:4]] == ["a", "b"]


def test_text_next_to_calls_and_results_is_a_message_of_its_own() -> None:
    called = {"role": "assistant", "content": "Let me see.", "tool_calls": [{"id": "c1", "name": "find_order", "args": {"number": 7}}]}
    result = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "in Hamburg"}, {"type": "text", "text": "?"}],
    }
    messages = asked_of([USER, called, result]).messages
    assert messages[1:] == (Message(role="assistant", content="Let me see."), CALLED, RESULT, Message(role="user", content="?"))


def test_results_that_are_json_stay_json() -> None:
    for content in ({"city": "Hamburg"}, [1, 2]):
        found = asked_of([USER, {"role": "tool", "tool_call_id": "c1", "content": content}])
        assert json.loads(found.messages[1].content or "") == content


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            "message 3: a part of type 'image_url' is not text",
        ),
        ({"role": "user", "parts": [{"type": "blob", "modality": "audio", "content": "AAAA"}]}, "message 3: a part of type 'blob'"),
        ({"role": "user", "parts": [{"inlineData": {"data": "AAAA"}}]}, "message 3: a part of type 'inlineData'"),
        (
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": {}}]}]},
            "'image'",
        ),
        ({"role": "user", "content": "x", "name": "anna"}, "message 3: the field 'name'"),
        ({"role": "user", "content": "x", "images": ["x.png"]}, "message 3: the field 'images'"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}]},
            "message 3: a tool call",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "not JSON"}}]},
            "message 3: the arguments",
        ),
        ({"role": "critic", "content": "x"}, "message 3: the role"),
        ({"role": "user", "content": " "}, "message 3: a message without text"),
        ({"role": "system", "content": "x"}, "a system message after the first"),
    ],
)
def test_what_is_not_text_is_named_with_its_place(message: dict, reason: str) -> None:
    # the second message is two, so that places are those of the log
    second = {"role": "assistant", "content": "Let me see.", "tool_calls": [{"id": "c1", "name": "find_order", "args": {}}]}
    with pytest.raises(ValueError, match=reason):
        asked_of([USER, second, message, USER])


ONE_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": None, "tool_calls": [ONE_CALL]},
        {"role": "assistant", "content": "", "function_call": ONE_CALL["function"]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "f", "arguments": {"a": 1}}]},
        {"choices": [{"finish_reason": "tool_calls", "message": {"role": "assistant", "content": None, "tool_calls": [ONE_CALL]}}]},
        {"object": "response", "output": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a": 1}'}]},
        {"type": "ai", "content": "", "tool_calls": [{"name": "f", "args": {"a": 1}, "id": "1", "type": "tool_call"}]},
    ],
)
def test_an_answer_that_is_one_call_is_read_in_every_form(answer: Any) -> None:
    found = answer_of(answer)
    assert found == ('{"name": "f", "arguments": {"a": 1}}', False, Call("f", {"a": 1}))


def test_a_call_is_written_as_the_loop_expects_its_answers() -> None:
    call = Call("StartTimer", {"minutes": 5})
    assert json.loads(call.text("intent")) == {"intent": "StartTimer", "minutes": 5}
    with pytest.raises(ValueError, match="only loops with `task.type: tool_call`"):
        call.text(None)
    with pytest.raises(ValueError, match="an argument 'minutes', the name of task.label"):
        call.text("minutes")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "a\nb"),
        ({"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "a"}]}, "a"),
        ({"role": "assistant", "content": "a", "reasoning_content": "hm", "function_call": None, "annotations": []}, "a"),
        ({"choices": [{"message": {"content": "a"}}]}, "a"),
        ({"choices": [{"text": "a"}]}, "a"),
        ([USER, {"role": "assistant", "content": "a"}], "a"),
    ],
)
def test_the_text_of_an_answer_is_read(answer: Any, text: str) -> None:
    assert answer_of(answer) == (text, False, None)


@pytest.mark.parametrize(
    "answer",
    [
        {"tool": "poll", "choices": ["red", "blue"]},
        {"tool": "poll", "choices": [{"text": "red"}]},
        {"tool": "poll", "choices": [{"message": {"role": "user", "content": "red"}}]},
        {"tool": "send", "messages": [{"role": "user", "content": "x"}]},
        {"tool": "send", "message": {"role": "user", "content": "x"}},
        {"tool": "hire", "candidates": [{"content": "c"}]},
        {"tool": "hire", "candidates": [{"content": {"name": "Ann"}}]},
        {"tool": "plan", "generations": [[{"text": "g"}]]},
        {"tool": "grant", "role": "admin"},
        {"tool": "write", "type": "human", "content": "c"},
        [{"tool": "grant", "role": "admin"}],
    ],
)
def test_the_words_of_a_response_in_a_models_own_json_do_not_make_it_one(answer: Any) -> None:
    written = json.dumps(answer)
    assert answer_of(written) == answer_of(answer) == (written, False, None)


@pytest.mark.parametrize("name", ["messages", "message"])
def test_json_that_may_be_a_response_or_the_models_own_is_refused(name: str) -> None:
    said = {"role": "assistant", "content": "x"}
    with pytest.raises(ValueError, match=f"the answer has '{name}', as a response has, and 'tool'"):
        answer_of({"tool": "send", name: [said] if name == "messages" else said})


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (
            {"role": "assistant", "content": "Let me see.", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
            "calls the tool 'f' and has text next to the call",
        ),
        ({"role": "assistant", "tool_calls": [ONE_CALL, {**ONE_CALL, "id": "2"}]}, "calls 2 tools, the first is 'f'"),
        ({"role": "assistant", "tool_calls": [{**ONE_CALL, "id": ""}, {**ONE_CALL, "id": ""}]}, "calls 2 tools"),
        ({"role": "assistant", "tool_calls": [ONE_CALL, {**ONE_CALL, "function": {"name": "g", "arguments": "{}"}}]}, "calls 2 tools"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "[]"}}, "'f' with arguments that are not a JSON object"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": NaN}'}}, "NaN is not JSON"),
        ({"role": "assistant", "content": None, "audio": {"id": "x", "data": "AAAA"}}, "the answer: the field 'audio'"),
        ({"role": "assistant", "content": [{"type": "image", "source": {}}]}, "the answer: a part of type 'image' is not text"),
        ({"role": "assistant", "content": ""}, "no answer"),
        (None, "no answer"),
    ],
)
def test_an_answer_that_is_not_text_is_told_by_name(answer: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        answer_of(answer)


def item(kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **fields}


def test_items_of_the_responses_api_are_the_turns_that_the_model_wrote() -> None:
    calls = [item("function_call", call_id=name, name="f", arguments="{}") for name in "ab"]
    results = [item("function_call_output", call_id=name, output=name) for name in "ba"]
    reasoning = item("reasoning", id="r", summary=[item("summary_text", text="hm")], content=None)
    messages = asked_of([USER, reasoning, *calls, *results]).messages
    assert [[call.id for call in message.tool_calls or ()] for message in messages] == [[], ["a", "b"], [], []]
    with pytest.raises(ValueError, match="an item of the request cannot be used: 'item_reference'"):
        asked_of([USER, item("item_reference", id="m1")])


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_a_response_that_goes_on_with_what_is_not_in_the_record_is_refused(name: str) -> None:
    response = {"object": "response", "output": [item("message", role="assistant", content=[item("output_text", text="a")])]}
    assert answer_of(response).text == "a"
    with pytest.raises(ValueError, match=f"the field '{name}' stands for what is not in the record"):
        answer_of({**response, name: {"id": "x"}})


def test_a_result_that_is_json_is_no_definition_of_a_tool_and_has_no_parts() -> None:
    called = [{"id": name, "function": {"name": "f", "arguments": "{}"}} for name in "ab"]
    said = [{"function": "sin", "r": 2}, [{"type": "Feature", "at": [9, 53]}]]
    results = [{"role": "tool", "tool_call_id": name, "content": content} for name, content in zip("ab", said, strict=True)]
    asked = asked_of([USER, {"role": "assistant", "tool_calls": called}, *results])
    assert [json.loads(message.content or "") for message in asked.messages[2:]] == said
    assert asked.tools is None


def test_parts_alone_are_a_message() -> None:
    assert answer_of([item("text", text="a"), item("text", text="b")]).text == "a\nb"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([{"role": "assistant", "content": text} for text in "ab"], "two in a row"),
        ({"role": "assistant", "content": [item("text", text="a", name="who")]}, "the field 'name' of a part cannot be used"),
    ],
)
def test_no_text_of_an_answer_is_left_out_in_silence(answer: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        answer_of(answer)


CUT = '[{"role": "system", "parts": [{"type": "text", "content": "Be br'


def test_json_that_a_log_cut_is_no_text() -> None:
    for read in (decoded, asked_of, answer_of):
        with pytest.raises(ValueError, match="the log has 64 characters of JSON that does not end there: it was cut"):
            read(CUT)
    assert decoded("[urgent] where is it?") == "[urgent] where is it?"
    assert answer_of('{"tool": "f", ').text == '{"tool": "f", '  # a model's own JSON may be broken
