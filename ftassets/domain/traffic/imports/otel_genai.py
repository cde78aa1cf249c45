"""OpenTelemetry spans and log records of model calls as JSON, in the forms the GenAI conventions have had.

Messages are read from the attributes `gen_ai.input.messages` and `gen_ai.output.messages`; else from `gen_ai.prompt.N.content`
and `gen_ai.completion.N.content`; else from the span's events (`gen_ai.user.message`, `gen_ai.choice` and their like, or
`gen_ai.content.prompt` and `gen_ai.content.completion`), with `gen_ai.system_instructions` and `gen_ai.tool.definitions`. Spans of
OpenInference and MLflow have the same wrapping and are read by their own modules. A line is an export request (`resourceSpans` or
`resourceLogs`), a part of one, a span or a log record, as OTLP has it or as the SDK prints it. Log records are the events of a span that
has their ids; they are joined with each other and with the span itself, if the file has it. An evaluation (`gen_ai.evaluation.result`)
is feedback on the answer of its span or response if its name or an attribute says that a person gave it; the conventions have no field
for that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftassets.domain.traffic.imports import mlflow_traces, openinference
from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Answer,
    Assessment,
    Imported,
    integer,
    loads,
    mapping,
    milliseconds,
    safe_id,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, decoded, is_cut
from ftassets.domain.traffic.imports.opinions import Opinion, by_people, of_people, opinion_of
from ftassets.domain.traffic.imports.otlp import AROUND_CALLS, attributes_of, in_order, records, span_of, value_of

HELD = 100_000  # calls that wait for their answer or their span at a time: spans and log records may lie in files of their own
_CALLS = ("chat", "text_completion", "generate_content")
_FIELDS = {"role", "content", "tool_calls", "refusal", "name"}  # of a message
_READ = (  # begin the names of attributes that are read, or that say how the model was called
    "gen_ai.agent.", "gen_ai.choice", "gen_ai.completion", "gen_ai.conversation.", "gen_ai.data_source.", "gen_ai.event.",
    "gen_ai.input.messages", "gen_ai.openai.", "gen_ai.operation.", "gen_ai.output.messages", "gen_ai.output.type", "gen_ai.prompt",
    "gen_ai.provider.", "gen_ai.request.", "gen_ai.response.", "gen_ai.system", "gen_ai.token.", "gen_ai.tool.definitions",
    "gen_ai.usage.", "event.name", "llm.headers", "llm.is_streaming", "llm.request.", "llm.usage.", "openai.", "traceloop.", *AROUND_CALLS,
)  # fmt: skip
_CHOICE, _DETAILS, _EVALUATION = "gen_ai.choice", "gen_ai.client.inference.operation.details", "gen_ai.evaluation.result"

__all__ = ["joined", "parse", "records"]

Messages = list[dict[str, Any]]


def parse(record: Any) -> Imported | Assessment:
    """The exchange of a span, or what an evaluation says of one.

    Raises ValueError with the reason unless it is a model call with recorded content, or an evaluation of an answer.
    """
    span = span_of(record)
    attributes, error = span.attributes, span.error
    for other in (openinference, mlflow_traces):
        if other.knows(attributes):
            return other.of_span(span)
    if (name := _event_name(record)) == _EVALUATION:
        return _assessment(record, span.names, span.row_id, span.timing.at)
    if name and name != _DETAILS:
        raise ValueError("a log record without traceId and spanId: nothing says to which call it belongs")
    operation = attributes.get("gen_ai.operation.name") or attributes.get("llm.request.type")
    events = record.get("events")
    named = [*attributes, *(str(mapping(event).get("name")) for event in (events if isinstance(events, list) else []))]
    if not any(name.startswith("gen_ai.") for name in named) or (operation and operation not in (*_CALLS, "completion")):
        raise ValueError("no model call: " + (f"its operation is {operation!r}" if operation else "a span without gen_ai attributes"))
    span.check_whole()
    numbered = _by_number(attributes)
    choices = _choices(record)
    request, response = _messages(record, attributes, numbered, choices)
    functions = numbered["llm.request.functions"]
    evaluations = [
        attributes_of(event) for event in (events if isinstance(events, list) else []) if mapping(event).get("name") == _EVALUATION
    ]
    feedback, left_out = of_people(evaluations, _left_out, lambda each: _opinion(each, None))
    first_token = milliseconds(attributes, "gen_ai.response.time_to_first_chunk", 1000.0)
    return to_imported(
        "otel",
        span.row_id or attributes.get("gen_ai.response.id"),
        asked_of(request, loads(attributes.get("gen_ai.system_instructions")), attributes.get("gen_ai.tool.definitions") or functions),
        NO_ANSWER if error else _answer(response, choices, attributes),
        span.timing if first_token is None else replace(span.timing, first_token_ms=first_token),
        attributes.get("gen_ai.response.model") or attributes.get("gen_ai.request.model"),
        attributes.get("user.id") or attributes.get("enduser.id"),
        integer(attributes, "gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
        integer(attributes, "gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
        502 if error else 200,
        error,
        feedback,
        (*span.names, *([str(attributes["gen_ai.response.id"])] if attributes.get("gen_ai.response.id") else [])),
        [*unread(attributes, (), _READ), *left_out],
    )


def _assessment(record: Mapping[str, Any], names: tuple[str, ...], row_id: str | None, at: float | None) -> Assessment:
    attributes = attributes_of(record)
    response = attributes.get("gen_ai.response.id")
    about = (
        *([f"{source}:{row_id}" for source in ("otel", "openinference", "mlflow")] if row_id else []),
        *([name for name in names if name.startswith("span:")]),
        *([str(response), f"otel:{safe_id(response)}"] if response else []),
    )
    if not about:
        raise ValueError("the evaluation is not about an answer: it has neither traceId and spanId nor gen_ai.response.id")
    return Assessment(about, *of_people([attributes], _left_out, lambda each: _opinion(each, at)))


def _left_out(evaluation: Mapping[str, Any]) -> str | None:
    """What an evaluation is called in the report, unless its name or one of its attributes says that a person gave it."""
    name = str(evaluation.get("gen_ai.evaluation.name"))[:80]
    kinds = [str(value).upper() for key, value in evaluation.items() if key.endswith(("kind", "type", "source")) and key != "error.type"]
    if "HUMAN" in kinds or (by_people(name) and not {"LLM", "CODE", "MODEL"} & set(kinds)):
        return None
    return f"the evaluation {name!r}, of which nothing says that a person gave it"


def _opinion(evaluation: Mapping[str, Any], at: float | None) -> Opinion:
    label, score = (evaluation.get(f"gen_ai.evaluation.score.{name}") for name in ("label", "value"))
    name = str(evaluation.get("gen_ai.evaluation.name"))
    return opinion_of(name, label, score, at, evaluation.get("gen_ai.evaluation.explanation"))


def _answer(response: Any, choices: Sequence[Any], attributes: Mapping[str, Any]) -> Answer:
    answer = answer_of(response)
    reasons = loads(attributes.get("gen_ai.response.finish_reasons"))
    shown = {"finish_reason": reasons[0] if isinstance(reasons, list) and reasons else reasons}
    return answer._replace(cut=answer.cut or is_cut(shown, *choices[:1]))


def joined(items: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Places and records, where the log records of one call are events of its span, or make a span if the file does not have it.

    A call of log records waits for its span, at most until `HELD` others wait too; a call without an answer is given at the end.
    """
    calls: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
    bare: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}  # spans without texts, whose log records may come later
    for place, record in items:
        name = _event_name(record)
        ids = (str(mapping(record).get("traceId") or ""), str(mapping(record).get("spanId") or ""))
        if name in ("", _EVALUATION) or not all(ids):
            if not name and ids in calls:
                yield place, _with_events(record, calls.pop(ids)[1])
            elif not name and all(ids) and _is_bare(record):
                bare[ids] = place, record
                if len(bare) > HELD:
                    yield bare.pop(next(iter(bare)))
            else:
                yield place, record
            continue
        moment = record.get("timeUnixNano") or record.get("observedTimeUnixNano")
        start = {"traceId": ids[0], "spanId": ids[1], "startTimeUnixNano": moment, "attributes": {}, "events": []}
        _, span = calls.setdefault(ids, (place, start))
        span["endTimeUnixNano"] = moment
        span["attributes"] |= attributes_of(record)
        span["events"].append({"name": name, "body": record.get("body"), "attributes": record.get("attributes")})
        if name in (_CHOICE, _DETAILS) and ids in bare:
            yield place, _with_events(bare.pop(ids)[1], calls.pop(ids)[1])
        elif len(calls) > HELD:
            yield calls.pop(next(iter(calls)))
    yield from calls.values()
    yield from bare.values()


def _with_events(span: Mapping[str, Any], events: Mapping[str, Any]) -> dict[str, Any]:
    """A span with the texts of its log records."""
    own = span.get("events")
    return {
        **span,
        "attributes": {**events["attributes"], **attributes_of(span)},
        "events": [*(own if isinstance(own, list) else []), *events["events"]],
    }


def _is_bare(span: Any) -> bool:
    """Whether a span is a model call whose texts are elsewhere."""
    if not isinstance(span, Mapping) or span.get("events"):
        return False
    names = attributes_of(span).keys()
    texts = any(name.startswith(("gen_ai.prompt.", "gen_ai.completion.", "gen_ai.input.messages", "llm.", "mlflow.")) for name in names)
    return not texts and any(name.startswith("gen_ai.") for name in names)


def _event_name(record: Any) -> str:
    """The event that a log record is; empty for a span."""
    if not isinstance(record, Mapping) or not ("body" in record or "eventName" in record):
        return ""
    name = str(record.get("eventName") or attributes_of(record).get("event.name"))
    return name if name.startswith("gen_ai.") else ""


def _messages(
    span: Mapping[str, Any], attributes: Mapping[str, Any], numbered: Mapping[str, Messages], choices: Sequence[Any]
) -> tuple[Any, Any]:
    """Request and response, in the first form of the conventions that the span has."""
    details = next((mapping(_body(one)) for one in span.get("events") or [] if mapping(one).get("name") == _DETAILS), {})
    attributes = {**details, **attributes}  # the event had the messages in its body for a while
    if "gen_ai.input.messages" in attributes:
        return decoded(attributes["gen_ai.input.messages"]), _first_choice(decoded(attributes.get("gen_ai.output.messages")))
    if numbered["gen_ai.prompt"]:
        return numbered["gen_ai.prompt"], _first_choice(numbered["gen_ai.completion"])
    return _from_events(span, choices)


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
    return [
        {name: _listed(value) if isinstance(value, dict) and name == "tool_calls" else value for name, value in mapping(member).items()}
        for member in in_order(members)
    ]


def _unpacked(content: Any) -> Any:
    """Content that is a list of typed parts, written as text; any other text stays text, even when it is JSON."""
    found = loads(content)
    typed = isinstance(found, list) and found and all(isinstance(part, Mapping) and "type" in part for part in found)
    return found if typed else content


def _from_events(span: Mapping[str, Any], choices: Sequence[Any]) -> tuple[Any, Any]:
    request: Any = []
    response: Any = None
    events = span.get("events")
    for event in events if isinstance(events, list) else []:
        if not isinstance(event, Mapping):
            continue
        name, attributes, body = str(event.get("name")), attributes_of(event), _body(event)
        if name == "gen_ai.content.prompt":
            request = attributes.get("gen_ai.prompt")
        elif name == "gen_ai.content.completion":
            response = attributes.get("gen_ai.completion")
        elif name.startswith("gen_ai.") and name.endswith(".message") and isinstance(request, list):
            request.append(_message(name.split(".")[1], body))
    return request, _choice(choices[0]) if choices else response


def _choices(span: Mapping[str, Any]) -> list[Any]:
    """The answers that events have, as the model numbered them."""
    events = span.get("events")
    found = [_body(event) for event in events if mapping(event).get("name") == _CHOICE] if isinstance(events, list) else []
    return sorted(found, key=lambda body: integer(mapping(body), "index") or 0)


def _body(event: Mapping[str, Any]) -> Any:
    attributes = attributes_of(event)
    return loads(value_of(event["body"])) if event.get("body") else loads(attributes.get("gen_ai.event.content", attributes))


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
