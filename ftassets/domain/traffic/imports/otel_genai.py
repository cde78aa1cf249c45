"""OpenTelemetry spans of model calls as OTLP JSON lines, in the forms the GenAI conventions have had.

Messages are read from the attributes `gen_ai.input.messages` and `gen_ai.output.messages`; else from `gen_ai.prompt.N.content`
and `gen_ai.completion.N.content`; else from the span's events (`gen_ai.user.message`, `gen_ai.choice` and their like, or
`gen_ai.content.prompt` and `gen_ai.content.completion`). A line is an export request (`resourceSpans`), a part of one, or a span.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports.fields import answer_of, between, integer, loads, mapping, milliseconds, request_messages, to_exchange

_CALLS = ("chat", "text_completion", "generate_content")
_LEVELS = ("resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "spans")
_FIELDS = {"role", "content", "tool_calls", "refusal", "name"}  # of a message
_ERROR = (2, "STATUS_CODE_ERROR")
_NUMBERED = {"gen_ai.prompt": "prompt", "gen_ai.completion": "completion"}

Messages = list[dict[str, Any]]


def records(line: Any) -> Iterator[Any]:
    """The spans of a line."""
    inner = [line[level] for level in _LEVELS if level in line] if isinstance(line, Mapping) else []
    for members in inner:
        for member in members if isinstance(members, list) else [members]:
            yield from records(member)
    if not inner:
        yield line


def parse(record: Any) -> Exchange:
    """The exchange of a span. Raises ValueError with the reason unless it is a model call with recorded content."""
    if not isinstance(record, Mapping) or "attributes" not in record:
        raise ValueError("not a span with attributes")
    attributes = _attributes(record)
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    if not any(name.startswith("gen_ai.") for name in attributes) or (operation and operation not in (*_CALLS, "completion")):
        raise ValueError("no model call: " + (f"its operation is {operation!r}" if operation else "a span without gen_ai attributes"))
    request, response = _messages(record, attributes)
    status = mapping(record.get("status"))
    failed = status.get("code") in _ERROR
    timing = between(record.get("startTimeUnixNano"), record.get("endTimeUnixNano"))
    first = milliseconds(attributes.get("gen_ai.response.time_to_first_chunk"), 1000.0)
    span = record.get("spanId")
    return to_exchange(
        "otel",
        f"{record.get('traceId') or ''}-{span}" if span else None,
        request_messages(request),
        "" if failed else answer_of(response),
        timing if first is None else replace(timing, first_token_ms=first),
        attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model"),
        attributes.get("user.id") or attributes.get("enduser.id"),
        integer(attributes.get("gen_ai.usage.input_tokens", attributes.get("gen_ai.usage.prompt_tokens"))),
        integer(attributes.get("gen_ai.usage.output_tokens", attributes.get("gen_ai.usage.completion_tokens"))),
        502 if failed else 200,
        str(status.get("message") or attributes.get("error.type") or "failed") if failed else None,
    )


def _messages(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> tuple[Any, Any]:
    """Request and response, in the first form of the conventions that the span has."""
    if "gen_ai.input.messages" in attributes:
        system = loads(attributes.get("gen_ai.system_instructions"))
        asked = loads(attributes["gen_ai.input.messages"])
        before = [{"role": "system", "content": _content(system)}] if system else []
        request = [*before, *map(_message, asked)] if isinstance(asked, list) else asked
        return request, _first_choice(loads(attributes.get("gen_ai.output.messages")))
    numbered = _by_number(attributes)
    if numbered["prompt"]:
        return numbered["prompt"], _first_choice(numbered["completion"])
    return _from_events(span)


def _first_choice(answers: Any) -> Any:
    """Each output message is a choice of its own; the first is the one that is shown."""
    return _message(answers[0]) if isinstance(answers, list) and answers else answers


def _message(message: Any) -> Any:
    """A message with `parts` as one with `content`, which is how chat APIs and the log have it."""
    if not isinstance(message, Mapping) or "parts" not in message:
        return message
    return {**{name: value for name, value in message.items() if name != "parts"}, "content": _content(message["parts"])}


def _content(parts: Any) -> Any:
    """Text parts as one text; others as they are."""
    if isinstance(parts, list) and parts and all(isinstance(part, Mapping) and part.get("type") == "text" for part in parts):
        return "\n".join(str(part.get("content", part.get("text", ""))) for part in parts)
    return parts


def _by_number(attributes: Mapping[str, Any]) -> dict[str, Messages]:
    """`gen_ai.prompt.0.role`, `gen_ai.prompt.0.content`, ... as messages in their order."""
    found: dict[str, dict[int, dict[str, Any]]] = {"prompt": {}, "completion": {}}
    for name, value in attributes.items():
        head, _, field = name.rpartition(".")
        stem, _, number = head.rpartition(".")
        if stem in _NUMBERED and number.isdecimal() and field in ("role", "content"):
            found[_NUMBERED[stem]].setdefault(int(number), {})[field] = _unpacked(value) if field == "content" else value
    roles = {"prompt": "user", "completion": "assistant"}
    return {kind: [{"role": roles[kind], **members[n]} for n in sorted(members)] for kind, members in found.items()}


def _unpacked(content: Any) -> Any:
    """Content that is a list of typed parts, written as text; any other text stays text, even when it is JSON."""
    found = loads(content)
    typed = isinstance(found, list) and found and all(isinstance(part, Mapping) and "type" in part for part in found)
    return _content(found) if typed else content


def _from_events(span: Mapping[str, Any]) -> tuple[Any, Any]:
    request: Messages = []
    response: Any = None
    events = span.get("events")
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, Mapping):
            continue
        name, attributes = str(event.get("name")), _attributes(event)
        body = loads(attributes.get("gen_ai.event.content", attributes))
        if name == "gen_ai.content.prompt":
            request = request_messages(attributes.get("gen_ai.prompt"))
        elif name == "gen_ai.content.completion":
            response = attributes.get("gen_ai.completion")
        elif name == "gen_ai.choice" and response is None:
            said = body.get("message", body.get("content")) if isinstance(body, Mapping) else body
            message = mapping(loads(said))
            # a text may be the answer itself, and that be JSON
            response = {"role": "assistant", **message} if message and message.keys() <= _FIELDS else said
        elif name.startswith("gen_ai.") and name.endswith(".message"):
            content = body.get("content") if isinstance(body, Mapping) else body
            request.append({"role": name.split(".")[1], "content": content})
    return request, response


def _attributes(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a dict, from OTLP's list of key and typed value or from a plain object."""
    found = owner.get("attributes")
    if isinstance(found, Mapping):
        return dict(found)
    pairs = found if isinstance(found, list) else []
    return {str(p["key"]): _value(p.get("value")) for p in pairs if isinstance(p, Mapping) and "key" in p}


def _value(value: Any) -> Any:
    """OTLP's AnyValue: `{"stringValue": ...}`, `{"intValue": "12"}`, `{"arrayValue": {"values": [...]}}`, `{"kvlistValue": ...}`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    kind, inner = next(iter(value.items()))
    if kind == "arrayValue":
        return [_value(member) for member in inner.get("values", [])]
    if kind == "kvlistValue":
        return {member["key"]: _value(member.get("value")) for member in inner.get("values", [])}
    return int(inner) if kind == "intValue" else inner
