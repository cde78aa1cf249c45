"""Spans of OpenInference (Arize Phoenix): `llm.input_messages.N.message...`, else the request and response in `input.value`.

Annotations of people, on the span (`annotations.N.annotation...`) or in records of their own, as Phoenix's client and API give them, are
feedback on the answer of their span, or on the last answer of their trace. Those of models and code (`annotator_kind`) are not.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports import otlp
from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Answer,
    Assessment,
    Imported,
    first,
    integer,
    loads,
    mapping,
    time_in,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, check_whole, decoded, is_cut
from ftassets.domain.traffic.imports.opinions import Opinion, of_people, opinion_of
from ftassets.domain.traffic.imports.otlp import Span, hex_id, in_order, span_of

_READ = ("input.value", "output.value", "llm.", "annotations.")
_ABOUT = ("input.mime_type", "output.mime_type", "openinference.", "agent.name", "graph.node.", "tag.", *otlp.AROUND_CALLS)


def knows(attributes: Mapping[str, Any]) -> bool:
    """Whether these are attributes of such a span."""
    return "openinference.span.kind" in attributes or any(
        name.startswith(("llm.input_messages", "llm.output_messages")) for name in attributes
    )


def records(line: Any) -> Iterator[Any]:
    """The spans or annotations of a line or of a page of Phoenix's API."""
    page = isinstance(line, Mapping) and isinstance(line.get("data"), list) and "next_cursor" in line
    for member in line["data"] if page else [line]:
        yield from otlp.records(member)


def parse(record: Any) -> Imported | Assessment:
    """The exchange of a span, or what an annotation says of one.

    Raises ValueError with the reason unless it is a model call of OpenInference, or an annotation of one.
    """
    if isinstance(record, Mapping) and "annotator_kind" in record:
        return _assessment(record)
    span = span_of(record)
    if isinstance(kind := record.get("span_kind"), str):  # Phoenix's API takes it out of the attributes
        span = span._replace(attributes={"openinference.span.kind": kind, **span.attributes})
    if not knows(span.attributes):
        raise ValueError("a span without attributes of OpenInference")
    return of_span(span)


def of_span(span: Span) -> Imported:
    """The exchange of such a span. Raises ValueError unless it is a model call with recorded content."""
    attributes, error = span.attributes, span.error
    if (kind := str(attributes.get("openinference.span.kind") or "LLM")) != "LLM":
        raise ValueError(f"no model call: a span of kind {kind}")
    span.check_whole()
    tree = _tree(attributes)
    llm = mapping(tree.get("llm"))
    settings = mapping(loads(llm.get("invocation_parameters")))
    request = mapping(_value(attributes, "input"))
    responses = "input" in request and isinstance(request.get("model"), str)
    if responses:  # OpenAI's Responses API, whose items are more than messages
        check_whole(request)
        asked = {"messages": request["input"]} if isinstance(request["input"], list) else request["input"]
    else:
        asked = [_message(each) for each in _members(llm.get("input_messages"))] or attributes.get("input.value")
    answers = [_message(each) for each in _members(llm.get("output_messages"))]
    tools = [loads(mapping(mapping(each).get("tool", each)).get("json_schema")) for each in _members(llm.get("tools"))]
    notes = [mapping(mapping(each).get("annotation")) for each in _members(tree.get("annotations"))]
    feedback, left_out = of_people(notes, _left_out, _opinion)
    counts = mapping(llm.get("token_count"))
    return to_imported(
        "openinference",
        span.row_id,
        asked_of(asked, request.get("instructions") if responses else settings.get("system"), tools or settings.get("tools")),
        NO_ANSWER if error else _answer(answers, attributes, llm),
        span.timing,
        llm.get("model_name"),
        first(attributes, "user.id") or settings.get("user"),
        integer(counts, "prompt"),
        integer(counts, "completion"),
        502 if error else 200,
        error,
        feedback,
        span.names,
        [*unread(attributes, (), _READ + _ABOUT), *left_out],
    )


def _assessment(record: Mapping[str, Any]) -> Assessment:
    span, trace = record.get("spanId") or record.get("context.span_id"), record.get("traceId") or record.get("context.trace_id")
    if not span and not trace:
        raise ValueError("the annotation is not about an answer: it names neither a span nor a trace")
    about = (f"span:{hex_id(span)}",) if span else (f"trace:{hex_id(trace)}",)
    return Assessment(about, *of_people([record], _left_out, _opinion))


def _left_out(annotation: Mapping[str, Any]) -> str | None:
    """What an annotation is called in the report, unless a person made it."""
    kind = str(annotation.get("annotator_kind") or "").upper()
    if kind == "HUMAN" and annotation.get("document_position") is None:
        return None
    name = str(first(annotation, "name", "annotation_name"))[:80]
    of = {"LLM": "of a model", "CODE": "of code", "HUMAN": "of a document"}.get(kind, "of an unknown kind")
    return f"the annotation {name!r} {of}"


def _opinion(annotation: Mapping[str, Any]) -> Opinion:
    """An annotation as the API has it, with a result in it, or as a row of the client's table, or as attributes."""
    result = mapping(loads(annotation.get("result")))
    label, score, explanation = (
        first({"a": result.get(name), "b": annotation.get(f"result.{name}"), "c": annotation.get(name)}, "a", "b", "c")
        for name in ("label", "score", "explanation")
    )
    at = time_in(annotation, "updated_at", "created_at")
    return opinion_of(str(first(annotation, "name", "annotation_name")), label, score, at, explanation)


def _answer(answers: list[Any], attributes: Mapping[str, Any], llm: Mapping[str, Any]) -> Answer:
    said = _value(attributes, "output")
    whole = said if isinstance(said, Mapping) else {}
    if not answers or whole.get("choices") or whole.get("object") == "response":
        answer = answer_of(said)
    elif len(answers) == 1:
        answer = answer_of(answers[0])
    else:
        raise ValueError(f"there are {len(answers)} output messages: which of them is the answer is not told")
    return answer._replace(cut=answer.cut or is_cut(llm, whole))


def _value(attributes: Mapping[str, Any], name: str) -> Any:
    """What the call got or gave. Raises ValueError where that is JSON and was cut."""
    value = attributes.get(f"{name}.value")
    return decoded(value) if attributes.get(f"{name}.mime_type") == "application/json" else loads(value)


def _message(member: Any) -> Any:
    message = {name: value for name, value in mapping(mapping(member).get("message")).items()}
    if calls := _members(message.pop("tool_calls", None)):
        message["tool_calls"] = [mapping(each).get("tool_call", each) for each in calls]
    if "function_call_name" in message:
        message["function_call"] = {
            "name": message.pop("function_call_name"),
            "arguments": message.pop("function_call_arguments_json", "{}"),
        }
    if contents := _members(message.pop("contents", None)):
        message["content"] = [mapping(each).get("message_content", each) for each in contents]
    return message


def _tree(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """`llm.input_messages.0.message.role` and its like as objects within objects."""
    tree: dict[str, Any] = {}
    for name, value in attributes.items():
        if name.startswith(("llm.", "annotations.")):
            *path, last = name.split(".")
            place = tree
            for step in path:
                inner = place.setdefault(step, {})
                if not isinstance(inner, dict):  # the value of a shorter name
                    break
                place = inner
            else:
                place[last] = value
    return tree


def _members(numbered: Any) -> list[Any]:
    """Members that have numbers as names, in their order; a list as it is."""
    if isinstance(numbered, list):
        return numbered
    return in_order(mapping(loads(numbered)))
