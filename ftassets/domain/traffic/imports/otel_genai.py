"""OpenTelemetry spans of model calls as OTLP JSON lines, in the forms the GenAI conventions have had.

Messages are read from the attributes `gen_ai.input.messages` and `gen_ai.output.messages`; else from `gen_ai.prompt.N.content`
and `gen_ai.completion.N.content`; else from the span's events (`gen_ai.user.message`, `gen_ai.choice` and their like, or
`gen_ai.content.prompt` and `gen_ai.content.completion`), with `gen_ai.system_instructions` and `gen_ai.tool.definitions`. A line is
an export request (`resourceSpans` or `resourceLogs`), a part of one, a span or a log record. Log records are the events of a span that has
their ids; they are joined with each other, not with the span itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports.fields import between, integer, loads, mapping, milliseconds, to_exchange
from ftassets.domain.traffic.imports.messages import answer_of, asked_of

_CALLS = ("chat", "text_completion", "generate_content")
_LEVELS = ("resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "spans", "resourceLogs", "scopeLogs", "logRecords")
_FIELDS = {"role", "content", "tool_calls", "refusal", "name"}  # of a message
_CHOICE, _DETAILS = "gen_ai.choice", "gen_ai.client.inference.operation.details"
_ERROR = (2, "STATUS_CODE_ERROR")

Messages = list[dict[str, Any]]


def records(line: Any) -> Iterator[Any]:
    """The spans and log records of a line."""
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
    if _event_name(record):
        raise ValueError("a log record without traceId and spanId: nothing says to which call it belongs")
    attributes = _attributes(record)
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    if not any(name.startswith("gen_ai.") for name in attributes) or (operation and operation not in (*_CALLS, "completion")):
        raise ValueError("no model call: " + (f"its operation is {operation!r}" if operation else "a span without gen_ai attributes"))
    numbered = _by_number(attributes)
    request, response = _messages(record, attributes, numbered)
    functions = numbered["llm.request.functions"]
    status = mapping(record.get("status"))
    failed = status.get("code") in _ERROR
    timing = between(record.get("startTimeUnixNano"), record.get("endTimeUnixNano"))
    first = milliseconds(attributes.get("gen_ai.response.time_to_first_chunk"), 1000.0)
    span = record.get("spanId")
    return to_exchange(
        "otel",
        f"{record.get('traceId') or ''}-{span}" if span else None,
        asked_of(request, loads(attributes.get("gen_ai.system_instructions")), attributes.get("gen_ai.tool.definitions") or functions),
        "" if failed else answer_of(response),
        timing if first is None else replace(timing, first_token_ms=first),
        attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model"),
        attributes.get("user.id") or attributes.get("enduser.id"),
        integer(attributes.get("gen_ai.usage.input_tokens", attributes.get("gen_ai.usage.prompt_tokens"))),
        integer(attributes.get("gen_ai.usage.output_tokens", attributes.get("gen_ai.usage.completion_tokens"))),
        502 if failed else 200,
        str(status.get("message") or attributes.get("error.type") or "failed") if failed else None,
    )


def joined(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Places and records, where log records of one call are a span of their events, which is given when its answer arrives.

    A call without an answer is given at the end.
    """
    calls: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    for place, record in items:
        name = _event_name(record)
        ids = (str(record.get("traceId") or ""), str(record.get("spanId") or "")) if name else ("", "")
        if not all(ids):
            yield place, record
            continue
        moment = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
        start = {"traceId": ids[0], "spanId": ids[1], "startTimeUnixNano": moment, "attributes": [], "events": []}
        _, span = calls.setdefault(ids, (place, start))
        attributes = record.get("attributes")
        span["endTimeUnixNano"] = moment
        span["attributes"] += attributes if isinstance(attributes, list) else []
        span["events"].append({"name": name, "body": record.get("body")})
        if name in (_CHOICE, _DETAILS):
            yield place, calls.pop(ids)[1]
    yield from calls.values()


def _event_name(record: Any) -> str:
    """The event that a log record is; empty for a span."""
    if not isinstance(record, Mapping) or not ("body" in record or "eventName" in record):
        return ""
    attributes = record.get("attributes")
    pairs = attributes if isinstance(attributes, list) else []
    named = next((_value(mapping(pair).get("value")) for pair in pairs if mapping(pair).get("key") == "event.name"), "")
    name = str(record.get("eventName") or named)
    return name if name.startswith("gen_ai.") else ""


def _messages(span: Mapping[str, Any], attributes: Mapping[str, Any], numbered: Mapping[str, Messages]) -> tuple[Any, Any]:
    """Request and response, in the first form of the conventions that the span has."""
    if "gen_ai.input.messages" in attributes:
        return attributes["gen_ai.input.messages"], _first_choice(loads(attributes.get("gen_ai.output.messages")))
    if numbered["gen_ai.prompt"]:
        return numbered["gen_ai.prompt"], _first_choice(numbered["gen_ai.completion"])
    return _from_events(span)


def _first_choice(answers: Any) -> Any:
    """Each output message is a choice of its own; the first is the one that is shown."""
    return answers[0] if isinstance(answers, list) and answers else answers


def _by_number(attributes: Mapping[str, Any]) -> dict[str, Messages]:
    """`gen_ai.prompt.0.role`, `gen_ai.prompt.0.tool_calls.0.name`, ... as objects in their order."""
    stems = {"gen_ai.prompt": {"role": "user"}, "gen_ai.completion": {"role": "assistant"}, "llm.request.functions": {}}
    found: dict[str, dict[str, Any]] = {stem: {} for stem in stems}
    for name, value in attributes.items():
        stem = next((stem for stem in stems if name.startswith(f"{stem}.")), None)
        if stem is None:
            continue
        *path, field = name[len(stem) + 1 :].split(".")
        member = found[stem]
        for step in path:
            member = member.setdefault(step, {})
        member[field] = _unpacked(value) if field == "content" else loads(value) if field == "parameters" else value
    return {stem: [{**stems[stem], **mapping(each)} for each in _listed(members)] for stem, members in found.items()}


def _listed(members: dict[str, Any]) -> list[Any]:
    """Members that have numbers as names, in their order, those within them too."""
    numbers = sorted((name for name in members if name.isdecimal()), key=int)
    return [
        {
            name: _listed(value) if isinstance(value, dict) and name == "tool_calls" else value
            for name, value in mapping(members[number]).items()
        }
        for number in numbers
    ]


def _unpacked(content: Any) -> Any:
    """Content that is a list of typed parts, written as text; any other text stays text, even when it is JSON."""
    found = loads(content)
    typed = isinstance(found, list) and found and all(isinstance(part, Mapping) and "type" in part for part in found)
    return found if typed else content


def _from_events(span: Mapping[str, Any]) -> tuple[Any, Any]:
    request: Any = []
    response: Any = None
    events = span.get("events")
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, Mapping):
            continue
        name, attributes = str(event.get("name")), _attributes(event)
        body = loads(_value(event["body"])) if "body" in event else loads(attributes.get("gen_ai.event.content", attributes))
        if name == "gen_ai.content.prompt":
            request = attributes.get("gen_ai.prompt")
        elif name == "gen_ai.content.completion":
            response = attributes.get("gen_ai.completion")
        elif name == _CHOICE and response is None:
            response = _choice(body)
        elif name.startswith("gen_ai.") and name.endswith(".message") and isinstance(request, list):
            request.append(_message(name.split(".")[1], body))
    return request, response


def _message(role: str, body: Any) -> dict[str, Any]:
    """The message of an event; the id of a tool's message is that of the call it answers."""
    fields = {n: v for n, v in body.items() if not n.startswith("gen_ai.")} if isinstance(body, Mapping) else {"content": body}
    known = {"tool_call_id": fields.pop("id")} if role == "tool" and "id" in fields else {}
    return {"role": role, **known, **{name: loads(value) if name == "tool_calls" else value for name, value in fields.items()}}


def _choice(body: Any) -> Any:
    said = body.get("message", body.get("content")) if isinstance(body, Mapping) else body
    message = mapping(loads(said))
    calls = {"tool_calls": loads(body["tool_calls"])} if isinstance(body, Mapping) and body.get("tool_calls") else {}
    # a text may be the answer itself, and that be JSON
    return {"role": "assistant", **message, **calls} if calls or (message and message.keys() <= _FIELDS) else said


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
