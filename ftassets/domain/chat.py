"""A conversation as rows store it, and what a model gets to read of it: the same in training, evaluation and serving."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from ftassets.domain.canonical import is_text, parse_json, read_json
from ftassets.errors import reason_of
from ftassets.wording import amount

LONGEST = 200_000  # characters of a conversation
_ROLES: dict[str, Literal["system", "user", "assistant", "tool"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_FIELDS = {"role", "content", "name", "tool_calls", "tool_call_id", "weight"}  # weight says which answers to teach: the last one is
_TEXT_PARTS = ("text", "input_text", "output_text")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")
_INDENTATION = re.compile(r"\A(?:[ \t]*\t| {4})")  # of a single line: fewer than four spaces are no code block in Markdown either
_CONFIG = ConfigDict(extra="forbid")
_GIVEN: dict[frozenset[str], set[str]] = {}  # one record of the fields that were given for all rows with the same ones: it is large


M = TypeVar("M")


def _hold_text(fields: Iterable[tuple[str, Any]]) -> None:
    """What no file, database or tokenizer takes must not become a row: it would fail all others with it. Raises ValueError."""
    for name, value in fields:
        if isinstance(value, str) and not is_text(value):
            raise ValueError(f"{name} holds half of a surrogate pair, which is not UTF-8 text")


# Slots and no record of the fields that were given: of a million conversations their messages are most of the memory.
@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ToolCall:
    """A call of one of the client's tools; `arguments` are a JSON object as text, as OpenAI's API has them."""

    id: str | None = None
    name: str = Field(min_length=1)
    arguments: str = "{}"

    @model_validator(mode="after")
    def _has_arguments(self) -> Self:
        _hold_text([("id", self.id), ("name", self.name)])
        if not isinstance(_parsed("the arguments of a tool call", self.arguments), dict):
            raise ValueError("the arguments of a tool call are not a JSON object")
        return self


@dataclass(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class Message:
    """One message of a conversation: text, or calls of tools; `tool_call_id` says which call a tool's result answers."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None

    @model_validator(mode="after")
    def _holds_text(self) -> Self:
        _hold_text([("content", self.content), ("tool_call_id", self.tool_call_id)])
        return self


Conversation = tuple[Message, ...]


class Asked(BaseModel):
    """What a model is asked: a conversation that waits for the assistant, and the tools it may call (a JSON list as text)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    messages: Conversation = Field(min_length=1)
    tools: str | None = None

    @model_validator(mode="after")
    def _holds_text(self) -> Self:
        _hold_text(self.__dict__.items())
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))
        return self

    @model_validator(mode="after")
    def _waits_for_an_answer(self) -> "Asked":
        if self.messages[-1].role not in ("user", "tool"):
            raise ValueError("the last message of a request is the user's or a tool's result")
        if not any(message.role == "user" and message.content for message in self.messages):
            raise ValueError("no message of role user has text")
        if any(message.role == "system" for message in self.messages[1:]):
            raise ValueError("a system message after the first message")
        if (length := sum(len(message.content or "") for message in self.messages)) > LONGEST:
            raise ValueError(f"the conversation has {amount(length, 'character')}, at most {LONGEST:,} are taken")
        if self.tools is not None:
            _parsed("the tools", self.tools)
        return self

    @classmethod
    def of(cls, text: str) -> "Asked":
        """The request of one message, the user's."""
        return cls(messages=question(text))

    @classmethod
    def read(cls, messages: Any, tools: Any = None, as_read: bool = False) -> "Asked":
        """The request of messages and tools in OpenAI's form, see `conversation`. Raises ValueError."""
        return cls(messages=conversation(messages, as_read), tools=tools_text(tools))

    @property
    def prompt(self) -> str:
        """The whole conversation as text: that of its only message, else a transcript."""
        return text_of(self.messages)

    @property
    def query(self) -> str:
        """The conversation as it is embedded: as `prompt`, without the system message, which is the same for all users."""
        return text_of(self.turns)

    @property
    def turns(self) -> Conversation:
        """The messages without a system message."""
        return self.messages[1:] if self.messages[0].role == "system" else self.messages

    @property
    def user_text(self) -> str:
        """What the user wrote, all messages of it."""
        return "\n".join(message.content for message in self.messages if message.role == "user" and message.content)

    @property
    def last_text(self) -> str:
        """The last message as people read it."""
        return text_of(self.messages[-1:])

    @property
    def last_turn(self) -> Conversation:
        """The last message of the user and what follows it."""
        last = max(place for place, message in enumerate(self.messages) if message.role == "user")
        return self.messages[last:]


def embedded_text(asked: Asked, context: str) -> str:
    """The text of a request that is embedded: its query, or with the context `last_turn` its last turn."""
    return text_of(asked.last_turn) if context == "last_turn" else asked.query


def vector_space(embedder: str, context: str) -> str:
    """The id of the space of an embedder's vectors of such texts: vectors of two spaces are never compared."""
    return embedder if context == "conversation" else f"{embedder}+{context}"


def newest_generation(space: str, there: Iterable[str]) -> str:
    """The space itself, or the newest of its generations among those that are there.

    `SPACE#2` has the vectors of the model that took the place of the first one behind the same name.
    """
    later = (name.removeprefix(f"{space}#") for name in there if name.startswith(f"{space}#"))
    numbers = [int(number) for number in later if number.isdecimal()]
    return f"{space}#{max(numbers)}" if numbers else space


def next_generation(space: str) -> str:
    """The generation of a space that follows this one."""
    name, _, number = space.rpartition("#")
    return f"{name}#{int(number) + 1}" if name and number.isdecimal() else f"{space}#2"


def _parsed(what: str, document: str) -> Any:
    """The value of a JSON text that chat templates get. Raises ValueError if they could not write it as text."""
    try:
        value = parse_json(document)
    except ValueError as error:
        raise ValueError(f"{what} are not JSON: {error}") from None
    if not is_text(json.dumps(value, ensure_ascii=False)):
        raise ValueError(f"{what} hold half of a surrogate pair, which is not UTF-8 text")
    return value


class Chat(NamedTuple):
    """What a chat template gets: messages and tools in OpenAI's form, arguments of calls as objects."""

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None


def question(text: str) -> Conversation:
    """The conversation of one message, the user's."""
    return (Message(role="user", content=text),)


def conversation(messages: Any, as_read: bool = False) -> Conversation:
    """Messages in OpenAI's form. A developer message is the system's; text parts are joined by a line break.

    Raises ValueError for what is not text. A model server leaves some fields out: `as_read` does the same, for requests that a model
    has answered; else such a field raises ValueError, because the row would say something else without it.
    """
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes):
        raise ValueError('"messages" is not a list')
    read = messages if as_read else with_call_ids(messages)
    return tuple(_message(message, f"message {number}", as_read) for number, message in enumerate(read, start=1))


def with_call_ids(messages: Sequence[Any]) -> list[Any]:
    """Messages in which results of tools that name their tool only, as TRL's do, have the id of the call that they answer.

    Parallel calls without ids get some; where one call waits for its result the order says which it is.
    """
    found = list(messages)
    waiting: list[tuple[int, int]] = []  # place of the message and of the call in it
    for place, message in enumerate(found):
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        if isinstance(calls, list) and all(isinstance(call, Mapping) and isinstance(call.get("function"), Mapping) for call in calls):
            waiting = [(place, number) for number in range(len(calls))]
        if not isinstance(message, Mapping) or message.get("role") != "tool" or message.get("tool_call_id") or not message.get("name"):
            continue
        named = [each for each in waiting if found[each[0]]["tool_calls"][each[1]]["function"].get("name") == message["name"]]
        if len(waiting) > 1 and named:
            at, number = named[0]
            call = found[at]["tool_calls"][number]
            known = call.get("id") or f"call_{at}_{number}"
            called = [{**each, "id": known} if each is call else each for each in found[at]["tool_calls"]]
            found[at], found[place] = {**found[at], "tool_calls": called}, {**message, "tool_call_id": known}
        waiting = [each for each in waiting if each not in named[:1]] if len(waiting) > 1 else waiting
    return found


def _message(message: Any, place: str, as_read: bool) -> Message:
    role = _ROLES.get(str(message.get("role"))) if isinstance(message, Mapping) else None
    if role is None:
        raise ValueError(f"{place}: the role is not system, developer, user, assistant or tool")
    text, calls = _text(message.get("content"), place), message.get("tool_calls") or ()
    if not isinstance(calls, Sequence) or isinstance(calls, str | bytes):
        raise ValueError(f"{place}: tool_calls is not a list")
    if not as_read:
        _check_fields(message, role, place)
        if calls and text.strip():
            raise ValueError(f"{place}: text next to tool calls, which model servers leave out: make it a message of its own")
        if not calls and not text.strip() and role != "tool":  # a tool may give nothing back
            raise ValueError(f"{place}: a message without text")
    made = tuple(_call(call, place, as_read) for call in calls)
    answered = message.get("tool_call_id") if role == "tool" else None
    return _made(Message, place, role=role, content=None if made else text, tool_calls=made or None, tool_call_id=answered)


def _made(model: type[M], place: str, **fields: Any) -> M:
    """The model. Raises ValueError with the place and what is wrong in one line."""
    try:
        return model(**fields)
    except ValidationError as error:
        raise ValueError(f"{place}: {reason_of(error)}") from None


def _check_fields(message: Mapping[str, Any], role: str, place: str) -> None:
    """Raise ValueError for a field that has a value and that no model gets to read."""
    unused = sorted(str(name) for name in message.keys() - _FIELDS if message[name] not in (None, "", [], {}))
    if message.get("name") and role != "tool":  # of a tool's result the id of its call says the same
        unused.append("name")
    if unused:
        raise ValueError(f"{place}: the field {unused[0]!r} cannot be used, models do not read it: remove it or write it into the text")


def _text(content: Any, place: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        raise ValueError(f"{place}: the content is not text")
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type") not in _TEXT_PARTS or not isinstance(part.get("text"), str):
            kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
            raise ValueError(f"{place}: a part of type {str(kind)[:30]!r} is not text")
        texts.append(part["text"])
    return "\n".join(texts)


def _call(call: Any, place: str, as_read: bool) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ValueError(f"{place}: a tool call without a function's name")
    arguments = function.get("arguments", "{}")
    written = arguments if isinstance(arguments, str) else _written(arguments, f"{place}: the arguments of a tool call")
    try:
        known = parse_json(written) if as_read else read_json(written)
    except json.JSONDecodeError:
        known = None
    except ValueError as error:
        raise ValueError(f"{place}: the arguments of a tool call: {error}") from None
    if not isinstance(known, Mapping):
        raise ValueError(f"{place}: the arguments of a tool call are not a JSON object")
    return _made(ToolCall, place, id=call.get("id"), name=function["name"], arguments=written)


def tools_text(tools: Any) -> str | None:
    """Tools of a request as a row stores them; None without one. Raises ValueError."""
    if not tools:
        return None
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise ValueError('"tools" is not a list of objects')
    defined = list(map(_definition, tools))
    if not all(isinstance(tool.get("function"), Mapping) and isinstance(tool["function"].get("name"), str) for tool in defined):
        raise ValueError('"tools" has a tool without a function\'s name')
    return _written(defined, '"tools"', allow_nan=False)


def _definition(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool in OpenAI's form; others have the fields of `function` without that object around them."""
    if "function" in tool or "name" not in tool:
        return tool
    return {"type": "function", "function": {name: value for name, value in tool.items() if name != "type"}}


def _written(value: Any, place: str, allow_nan: bool = True) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=allow_nan)
    except RecursionError:
        raise ValueError(f"{place}: nested too deep") from None


def without_default(messages: Conversation, system_prompt: str) -> Conversation:
    """The conversation without its system message if that is the loop's own, which `chat` adds again."""
    first = messages[0]
    return messages[1:] if first.role == "system" and (first.content or "").strip() == system_prompt.strip() else messages


def chat(system_prompt: str, asked: Asked, answer: str | None = None) -> Chat:
    """What a chat template reads: the conversation below the system prompt, which a system message of its own replaces; with the answer,
    if given.

    An empty system prompt is left out.
    """
    read = _below(system_prompt, asked) + openai_messages(asked.messages)
    if answer is not None:
        read.append({"role": "assistant", "content": answer})
    return Chat(read, json.loads(asked.tools) if asked.tools else None)


def request_body(system_prompt: str, asked: Asked) -> dict[str, Any]:
    """The same as fields of a request to OpenAI's chat API."""
    messages = _below(system_prompt, asked) + openai_messages(asked.messages, text_arguments=True)
    return {"messages": messages, **({"tools": json.loads(asked.tools)} if asked.tools else {})}


def _below(system_prompt: str, asked: Asked) -> list[dict[str, Any]]:
    own = asked.messages[0].role == "system"
    return [] if own or not system_prompt else [{"role": "system", "content": system_prompt}]


def openai_messages(messages: Iterable[Message], text_arguments: bool = False) -> list[dict[str, Any]]:
    """Messages in OpenAI's form; the arguments of calls are objects, as chat templates want them, or text, as its API has them."""
    return [_openai(message, text_arguments) for message in messages]


def _openai(message: Message, text_arguments: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"role": message.role, "content": message.content or ""}
    if message.tool_calls:
        written["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments if text_arguments else json.loads(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id:
        written["tool_call_id"] = message.tool_call_id
    return written


def texts(messages: Iterable[Message]) -> list[str]:
    """All texts of a conversation in their order: contents, and arguments of calls."""
    return [text for message in messages for text in ([message.content] if message.content else []) + _arguments(message)]


def with_texts(messages: Iterable[Message], changed: Iterable[str]) -> Conversation:
    """The conversation with other texts, as many as `texts` gives and in that order."""
    left = iter(changed)
    return tuple(
        Message(
            role=message.role,
            content=next(left) if message.content else message.content,
            tool_calls=message.tool_calls and tuple(replace(call, arguments=next(left)) for call in message.tool_calls),
            tool_call_id=message.tool_call_id,
        )
        for message in messages
    )


def _arguments(message: Message) -> list[str]:
    return [call.arguments for call in message.tool_calls or ()]


def trimmed(text: str) -> str:
    """The text without blank lines before it and white space behind it. Leading spaces stay where they may be the indentation of code."""
    text = _BLANK_LINES.sub("", text).rstrip()
    return text if "\n" in text or _INDENTATION.match(text) else text.lstrip()


def text_of(messages: Sequence[Message]) -> str:
    """A conversation as people read it: the text of its only message, else a line per message that begins with the role."""
    if len(messages) == 1 and not messages[0].tool_calls:
        return messages[0].content or ""
    return "\n".join(f"{message.role}: {message_text(message)}" for message in messages)


def message_text(message: Message) -> str:
    """A message as people read it: its text, or the calls it makes."""
    return message.content or " ".join(f"{call.name}({call.arguments})" for call in message.tool_calls or ())


def identity(asked: Asked) -> Any:
    """JSON that is equal for the same request: the text of a single user message, as ids of rows always had it, else all of it."""
    if len(asked.messages) == 1 and asked.tools is None and asked.messages[0].role == "user":
        return asked.prompt
    return asked.model_dump(mode="json", include={"messages", "tools"}, exclude_none=True)
