"""Conversations of other systems' logs in OpenAI's form, and the text of an answer.

Read are messages of OpenAI, Anthropic and LangChain, calls of OpenAI's Responses API, and parts of OpenTelemetry. A model's reasoning is
left out: no chat API gives it back to the model. What else is not text refuses the record, by its name and place.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftassets.domain.canonical import read_json, read_record
from ftassets.domain.chat import Asked, Conversation, Message, conversation, tools_text, with_call_ids
from ftassets.domain.dataset.row_shapes import holds_text
from ftassets.domain.traffic.imports.fields import Answer, Call, loads, mapping
from ftassets.wording import amount

_BEGINS_JSON = re.compile(r'\s*(?:\{\s*"|\[\s*\{)')
_BEGINS_MESSAGES = re.compile(r'\s*(?:\[\s*\{\s*"(?:role|parts)"|\{\s*"(?:messages|choices)")')
_ROLES = {"human": "user", "model": "assistant", "ai": "assistant", "function": "tool"}
_MODELS = ("assistant", "model", "ai")  # who answers
_ENDED = ("finish_reason", "finishReason", "index", "logprobs", "generation_info", "id")  # of a choice that is a text
_KINDS = ("human", "ai", "system", "tool", "function")  # types of LangChain's messages
_STOPPED = ("content_filter", "safety", "recitation", "abort", "cancelled", "incomplete", "refusal")
_ASKS = ("query", "question", "prompt", "input", "text", "message", "content", "user_input")
_SAYS = ("answer", "output", "response", "text", "content", "completion", "result")
_TEXT = ("text", "input_text", "output_text")
_REASONING = ("reasoning", "thinking", "redacted_thinking")
_CALL = ("tool_call", "tool_use", "function_call")
_RESULT = ("tool_call_response", "tool_result", "function_call_output")
_ITEMS = _CALL + _RESULT + _REASONING  # what stands among messages
_PARTS = {
    *_TEXT,
    *_REASONING,
    "refusal",
    "image",
    "image_url",
    "input_image",
    "audio",
    "input_audio",
    "video",
    "file",
    "input_file",
    "document",
}
_USED = {"role", "content", "parts", "tool_calls", "function_call", "tool_call_id", "refusal"}
_NOTES = {  # of a message: what a log says about it, and the model's reasoning
    "id", "index", "type", "object", "status", "finish_reason", "stop_reason", "stop_sequence", "created_at", "timestamp", "metadata",
    "model", "usage", "usage_metadata", "response_metadata", "provider_specific_fields", "additional_kwargs", "annotations",
    "cache_control", "reasoning", "reasoning_content", "reasoning_details", "thinking", "thinking_blocks",
}  # fmt: skip
_OF_PARTS = {  # of a part that is a text
    "text", "content", "logprobs", "citations", "phase", "signature", "thoughtSignature", "thought_signature", "extras", "mime_type",
    "state", "providerMetadata", "providerOptions", "provider_metadata",
}  # fmt: skip
_ELSEWHERE = ("previous_response_id", "conversation", "prompt")  # of OpenAI's Responses API: turns and instructions that only it knows
_SETTINGS = {  # of a request: how it is answered, not what is asked
    "model", "user", "metadata", "stop", "tool_choice", "function_call", "response_format", "reasoning_effort", "service_tier",
}  # fmt: skip


def asked_of(value: Any, system: Any = None, tools: Any = None) -> Asked:
    """What a model was asked: a list of messages, an object that holds one as `messages`, or the prompt itself.

    `system` are instructions and `tools` definitions that the log has elsewhere. A text that is JSON is a prompt unless messages are in
    it: give `decoded` what a log writes as JSON. Raises ValueError for what is not text, by its name.
    """
    found = loads(value)
    _check_end(value, found)
    if isinstance(found, list) and len(found) == 1 and _are_turns(found[0]):  # LangChain's batch of one
        found = found[0]
    if isinstance(found, Mapping) and _are_turns(inner := loads(found.get("messages"))):
        if lost := sorted(n for n in found.keys() - {"messages", "system", "tools", "functions"} - _SETTINGS if holds_text(found[n])):
            raise ValueError(f"the field {lost[0]!r} of the request cannot be used")
        return asked_of(inner, system or found.get("system"), tools or found.get("tools") or found.get("functions"))
    if _are_turns(found):
        check_keys(value)
        turns = [_plain(turn) for turn in found]
    elif isinstance(value, str) and value.strip():  # also a prompt that happens to be JSON
        turns = [{"role": "user", "content": value}]
    elif text := _only(found, _ASKS):
        turns = [{"role": "user", "content": text}]
    elif isinstance(found, list) and (other := [turn for turn in found if not is_message(turn)]) and len(other) < len(found):
        raise ValueError(f"an item of the request cannot be used: {str(mapping(other[0]).get('type') or type(other[0]).__name__)[:30]!r}")
    else:
        raise ValueError("the request has no messages: they were not logged, or in another form")
    defined = [turn["content"] for turn in turns if _is_definition(turn)]
    turns = with_call_ids([turn for turn in turns if not _is_definition(turn)])
    before = _read({"role": "system", "content": loads(system)}, "the system instructions") if system else ()
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        for message in _read(turn, f"message {number}"):
            last = messages[-1] if messages else message
            if message.tool_calls and last.tool_calls and message is not last and not (message.content or last.content):
                messages[-1] = replace(last, tool_calls=(*last.tool_calls, *message.tool_calls))  # each call is an item of its own there
            else:
                messages.append(message)
    return Asked(messages=(*before, *messages), tools=tools_text(_tools(tools) or _tools(defined)))


def answer_of(value: Any) -> Answer:
    """The answer in a string, a message, an object or list with messages (the last counts), or the response of an API: text, or one call.

    Known are the responses of OpenAI (Chat Completions and Responses), Anthropic, Gemini, Ollama and LangChain. Raises ValueError.
    """
    found = loads(value)
    _check_end(value, found)
    message, cut = _answer(found)
    if message is None:  # an answer that is JSON itself stays as it was written
        text = value if isinstance(value, str) else _only(value, _SAYS) or (json.dumps(value, ensure_ascii=False) if value else "")
    else:
        check_keys(value)
        if message.get("weight") == 0:
            raise ValueError("the field 'weight' of the answer is 0: it is marked as not to be learned from")
        turns = list(_turns({"role": "assistant", **message}, "the answer"))
        text = "\n".join(turn["content"] for turn in turns if turn.get("content"))
        if calls := [call for turn in turns for call in turn.get("tool_calls", ())]:
            return _called(calls, text, cut)
        cut = cut or _refuses(message)
    if not text.strip():
        raise ValueError("there is no answer in it")
    return Answer(text, cut)


def decoded(value: Any) -> Any:
    """What a log holds that writes JSON as text; other text as it is. Raises ValueError for a key twice, and for JSON that was cut."""
    if (found := loads(value)) is not value:
        check_keys(value)
    elif isinstance(value, str) and _BEGINS_JSON.match(value):
        raise ValueError(f"the log has {amount(len(value), 'character')} of JSON that does not end there: it was cut")
    return found


def _check_end(value: Any, found: Any) -> None:
    """Raise ValueError for a text that begins as messages or a response in JSON, but does not parse: it was cut."""
    if found is value and isinstance(value, str) and _BEGINS_MESSAGES.match(value):
        decoded(value)


def check_keys(value: Any) -> None:
    """Raise ValueError if messages that are written as JSON text have a key twice: one of its values would be lost."""
    if isinstance(value, str):
        read_record(value)


def check_whole(*places: Any) -> None:
    """Raise ValueError if turns or instructions of OpenAI's Responses API are not in the record of a request or a response."""
    for place in map(mapping, places):
        for name in _ELSEWHERE:
            if place.get(name) and (name != "prompt" or isinstance(place[name], Mapping)):
                raise ValueError(f"the field {name!r} stands for what is not in the record: OpenAI keeps it")


def _refuses(message: Mapping[str, Any]) -> bool:
    """Whether the model refused to answer, as OpenAI's API says it: next to the content, or as a part of it."""
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return bool(message.get("refusal")) or any(mapping(part).get("type") == "refusal" for part in parts)


def _called(calls: Sequence[Mapping[str, Any]], text: str, cut: bool) -> Answer:
    """An answer that is one call. Raises ValueError if there is more in it."""
    function = mapping(calls[0].get("function"))
    name, arguments = function.get("name"), function.get("arguments")
    if len(calls) > 1:
        raise ValueError(f"the answer calls {len(calls)} tools, the first is {name!r}: an answer can be one call")
    if text.strip():
        raise ValueError(f"the answer calls the tool {name!r} and has text next to the call: it can be one of them")
    try:
        known = read_json(arguments if isinstance(arguments, str) else json.dumps(arguments))
    except ValueError as error:
        raise ValueError(f"the answer calls the tool {name!r} with arguments that are not JSON: {error}") from None
    if not isinstance(name, str) or not name or not isinstance(known, dict):
        raise ValueError(f"the answer calls the tool {name!r} with arguments that are not a JSON object")
    call = Call(name, known)
    return Answer(json.dumps(call._asdict(), ensure_ascii=False), cut, call)


def is_cut(*places: Any) -> bool:
    """Whether one of these objects, a response or a part of it, says that the answer was stopped before its end."""
    reasons = [reason for place in places for reason in _reasons(mapping(place))]
    return any(mapping(place).get("truncated") is True for place in places) or any(
        ("max" in reason and "token" in reason) or "length" in reason or reason in _STOPPED for reason in reasons
    )


def is_message(value: Any) -> bool:
    """Whether this is a chat message: an object with a role, or a message of LangChain."""
    return isinstance(_plain(value), Mapping) and isinstance(_plain(value).get("role"), str)


def _plain(value: Any) -> Any:
    """A message with its role, also one of LangChain, which has its class or its type instead."""
    if not isinstance(value, Mapping) or "role" in value:
        return value
    path = value.get("id")
    if value.get("type") == "constructor" and isinstance(path, list) and path and str(path[-1]).removesuffix("Chunk").endswith("Message"):
        inner = mapping(value.get("kwargs"))
        return {"role": str(path[-1]).removesuffix("Chunk").removesuffix("Message").lower(), **inner, "type": None}
    kind = value.get("type")
    return {**value, "role": kind, "type": None} if kind in _KINDS and "content" in value else value


def _reasons(place: Mapping[str, Any]) -> Iterator[str]:
    """Why an answer ended, as each API calls it."""
    for name in ("finish_reason", "finishReason", "stop_reason", "stopReason", "done_reason", "finish_reasons"):
        for reason in place[name] if isinstance(place.get(name), list) else [place.get(name)]:
            yield str(reason).lower().rpartition(".")[2]
    yield str(mapping(place.get("incomplete_details")).get("reason")).lower()
    for name in ("response_metadata", "generation_info"):
        if inner := mapping(place.get(name)):
            yield from _reasons(inner)


def _are_turns(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(is_message(turn) or mapping(turn).get("type") in _ITEMS for turn in value)


def _is_definition(turn: Mapping[str, Any]) -> bool:
    """Whether this is the definition of a tool, which Langfuse's callback for LangChain writes among the messages."""
    function = mapping(mapping(turn.get("content")).get("function"))
    return turn.get("role") == "tool" and "name" in function and not turn.get("tool_call_id")


def _answer(value: Any) -> tuple[Mapping[str, Any] | None, bool]:
    """The message in one of the forms an answer is logged in, and whether it was cut; None for an answer that is JSON itself.

    A model's own JSON may have keys such as `choices` or `role`: an object counts as a response by what stands under them. Raises
    ValueError where that does not tell.
    """
    holder = mapping(value)
    for name in ("choices", "candidates", "generations"):
        members = holder.get(name)
        while isinstance(members, list) and members and isinstance(members[0], list):
            members = members[0]
        alone = not any(holds_text(holder[key]) for key in holder.keys() - {name} - _NOTES)
        if isinstance(members, list) and members and all(_is_choice(member, alone) for member in members):
            choice = min(members, key=_number)  # as the model numbered them, in whatever order they were logged
            content = choice.get("message") or choice.get("content")
            found = _plain(content) if isinstance(content, Mapping) else {"content": choice.get("text") or content}
            return {**mapping(found), "role": "assistant"}, is_cut(holder, choice, found)
    if holder.get("object") == "response" and isinstance(holder.get("output"), list):
        check_whole(holder)
        parts = [part for item in holder["output"] for part in _parts_of(item)]
        return {"role": "assistant", "content": parts}, is_cut(holder)
    for name in ("messages", "message"):
        inner = holder.get(name)
        if _is_answer(last := inner[-1] if isinstance(inner, list) and inner else inner):
            if lost := sorted(key for key in holder.keys() - {name, "done_reason"} - _NOTES if holds_text(holder[key])):
                raise ValueError(f"the answer has {name!r}, as a response has, and {lost[0]!r}: which of them the model wrote is not told")
            return _plain(last), is_cut(holder, last)
    if isinstance(value, list) and value and all(map(is_message, value)):
        if len(value) > 1 and all(_is_answer(each) and mapping(each).get("content") for each in value[-2:]):
            raise ValueError("the model's last messages are two in a row: which of them is the answer is not told")
        value = value[-1]
    if (
        isinstance(value, list)
        and any(_is_text(part) for part in value)
        and all(mapping(part).get("type") in _ITEMS + _TEXT for part in value)
    ):
        return {"role": "assistant", "content": value}, False
    return (_plain(value), is_cut(holder, value)) if _is_answer(value) else (None, False)


def _is_text(part: Any) -> bool:
    return mapping(part).get("type") in _TEXT and isinstance(mapping(part).get("text"), str)


def _is_answer(value: Any) -> bool:
    """Whether this is a message of a model."""
    return is_message(value) and _plain(value)["role"] in _MODELS


def _is_choice(value: Any, alone: bool) -> bool:
    """Whether this is one of the answers in a response: it has a model's message, Gemini's parts, or a text with what ended it, if the
    response has more in it.
    """
    choice = mapping(value)
    for said in (choice.get("message"), choice.get("content")):
        if isinstance(said, Mapping):
            return _plain(said).get("role", "assistant") in _MODELS and not said.keys().isdisjoint(_USED | {"type"})
    return isinstance(choice.get("text"), str) and (alone or any(key in choice for key in _ENDED))


def _number(choice: Mapping[str, Any]) -> int:
    return number if isinstance(number := choice.get("index"), int) else 0


def _parts_of(item: Any) -> Sequence[Any]:
    """What an item of a response's output brings to the answer: the parts of a message, or itself, such as a call."""
    content = mapping(item).get("content")
    return content if mapping(item).get("type") == "message" and isinstance(content, list) else [item]


def _only(value: Any, names: Collection[str]) -> str | None:
    """The text of an object that has nothing but one text, under one of these names."""
    filled = {name: text for name, text in mapping(value).items() if text not in (None, "", [], {})}
    [text] = filled.values() if len(filled) == 1 and set(filled) <= set(names) else [None]
    return text if isinstance(text, str) else None


def _tools(tools: Any) -> Any:
    """Definitions, each as an object."""
    found = loads(tools)
    return [_tool(loads(tool)) for tool in found] if isinstance(found, list) else found


def _tool(tool: Any) -> Any:
    """A definition with Anthropic's name for its parameters as the others have it."""
    if not isinstance(tool, Mapping) or "name" not in tool:
        return tool
    return {{"input_schema": "parameters"}.get(name, name): value for name, value in tool.items()}


def _read(message: Mapping[str, Any], place: str) -> Conversation:
    try:
        return conversation(list(_turns(message, place)))
    except ValueError as error:  # which counts from this message on
        reason = str(error)
        raise ValueError(f"{place}: {reason.partition(': ')[2]}" if reason.startswith("message ") else reason) from None


def _turns(message: Mapping[str, Any], place: str) -> Iterator[dict[str, Any]]:
    """One message as those of OpenAI's form: text, calls and results are a message each, reasoning is left out."""
    if _is_reasoning(message):
        return
    if message.get("type") in _CALL + _RESULT:
        message = {"role": "assistant", "content": [message]}
    role = _ROLES.get(message["role"], message["role"])
    named = {"name"} if role == "tool" else set()  # the id of its call says the same
    if lost := sorted(str(name) for name in message.keys() - _USED - _NOTES - named if holds_text(message[name])):
        raise ValueError(f"{place}: the field {lost[0]!r} cannot be used, models do not read it")
    content = message.get("parts", message.get("content"))
    if role == "tool" and not _is_result(content):
        yield {"role": "tool", "content": _result(content, place), "tool_call_id": message.get("tool_call_id")}
        return
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    found = False
    for kind, value in _pieces(message, content, place):
        if texts and kind != "text":
            yield {"role": role, "content": "\n".join(texts)}
            texts = []
        if calls and kind != "call":
            yield {"role": "assistant", "content": None, "tool_calls": calls}
            calls = []
        found = True
        if kind == "text":
            texts.append(value)
        elif kind == "call":
            calls.append(value)
        else:
            yield value
    if calls:
        yield {"role": "assistant", "content": None, "tool_calls": calls}
    if texts or not found:
        yield {"role": role, "content": "\n".join(texts)}


def _is_reasoning(message: Mapping[str, Any]) -> bool:
    """Whether nothing but a model's reasoning is in a message."""
    content = message.get("content")
    parts = isinstance(content, list) and content and all(mapping(part).get("type") in _REASONING for part in content)
    return message.get("type") in _REASONING or (bool(parts) and not message.get("tool_calls"))


def _pieces(message: Mapping[str, Any], content: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Texts, calls and results of a message in their order."""
    more = mapping(message.get("additional_kwargs"))
    listed = message.get("tool_calls") or more.get("tool_calls") or message.get("function_call") or more.get("function_call") or ()
    calls = [_call(call, place) for call in (listed if isinstance(listed, list) else [listed] if listed else ())]
    members = content if isinstance(content, list) else [] if content is None else [content]
    for part in members:
        piece = _piece(part, place)
        if piece is None:
            continue
        kind, value = piece
        if kind == "call":  # which LangChain lists a second time, with the arguments that a stream left out of the part
            same = next((call for call in calls if call["id"] is not None and call["id"] == value["id"]), None)
            calls = [call for call in calls if call is not same]
            value = same or value
        yield kind, value
    if content in (None, "") and isinstance(message.get("refusal"), str):
        yield "text", message["refusal"]
    yield from (("call", call) for call in calls)


def _piece(part: Any, place: str) -> tuple[str, Any] | None:
    if isinstance(part, str):
        return ("text", part) if part else None
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    if kind in _REASONING:
        return None
    if kind in _CALL:
        return "call", _call(part, place)
    if kind in _RESULT:
        known = next((part[name] for name in ("tool_use_id", "call_id", "id") if part.get(name)), None)
        said = next((part[name] for name in ("content", "response", "result", "output") if part.get(name) is not None), "")
        return "result", {"role": "tool", "content": _result(said, place), "tool_call_id": known}
    if kind == "refusal":
        return "text", str(part.get("refusal"))
    text = part.get("text", part.get("content")) if kind in _TEXT or (kind is None and "text" in part) else None
    if lost := sorted(str(name) for name in part.keys() - _OF_PARTS - _NOTES if holds_text(part[name])) if isinstance(text, str) else []:
        raise ValueError(f"{place}: the field {lost[0]!r} of a part cannot be used, models do not read it")
    if not isinstance(text, str):
        raise ValueError(f"{place}: a part of type {str(kind or next(iter(part), None))[:30]!r} is not text")
    return "text", text


def _is_result(content: Any) -> bool:
    return isinstance(content, list) and any(mapping(part).get("type") in _RESULT for part in content)


def _result(content: Any, place: str) -> str:
    """What a tool gave back, as text: other JSON than typed parts as it is."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and content and all(mapping(part).get("type") in _PARTS for part in content):
        return "\n".join(text for kind, text in filter(None, (_piece(part, place) for part in content)) if kind == "text")
    return json.dumps(content, ensure_ascii=False)


def _call(call: Any, place: str) -> dict[str, Any]:
    """A call in OpenAI's form."""
    if not isinstance(call, Mapping):
        raise ValueError(f"{place}: a tool call is not an object")
    inner = mapping(call.get("function")) or call
    arguments = next((inner[name] for name in ("arguments", "args", "input") if inner.get(name) is not None), None)
    known = call.get("call_id") or call.get("id")  # some servers write an empty one
    return {
        "id": str(known) if known else None,
        "type": "function",
        "function": {"name": inner.get("name"), "arguments": "{}" if arguments in (None, "") else arguments},
    }
