"""Spans of OpenInference (Arize Phoenix): `llm.input_messages.N.message...`, else the request and response in `input.value`."""

from collections.abc import Mapping
from typing import Any

from ftassets.domain.traffic.imports.fields import NO_ANSWER, Answer, Imported, first, integer, loads, mapping, to_imported
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, is_cut
from ftassets.domain.traffic.imports.otlp import Span, records, span_of

__all__ = ["of_span", "parse", "records"]


def knows(attributes: Mapping[str, Any]) -> bool:
    """Whether these are attributes of such a span."""
    return "openinference.span.kind" in attributes or any(
        name.startswith(("llm.input_messages", "llm.output_messages")) for name in attributes
    )


def parse(record: Any) -> Imported:
    """The exchange of a span. Raises ValueError with the reason unless it is a model call of OpenInference."""
    span = span_of(record)
    if not knows(span.attributes):
        raise ValueError("a span without attributes of OpenInference")
    return of_span(span)


def of_span(span: Span) -> Imported:
    """The exchange of such a span. Raises ValueError unless it is a model call with recorded content."""
    attributes, error = span.attributes, span.error
    if (kind := str(attributes.get("openinference.span.kind") or "LLM")) != "LLM":
        raise ValueError(f"no model call: a span of kind {kind}")
    tree = _tree(attributes)
    llm = mapping(tree.get("llm"))
    settings = mapping(loads(llm.get("invocation_parameters")))
    asked = [_message(each) for each in _members(llm.get("input_messages"))] or attributes.get("input.value")
    answers = [_message(each) for each in _members(llm.get("output_messages"))]
    tools = [loads(mapping(mapping(each).get("tool", each)).get("json_schema")) for each in _members(llm.get("tools"))]
    counts = mapping(llm.get("token_count"))
    return to_imported(
        "openinference",
        span.row_id,
        asked_of(asked, settings.get("system"), tools or settings.get("tools")),
        NO_ANSWER if error else _answer(answers, attributes, llm),
        span.timing,
        llm.get("model_name"),
        first(attributes, "user.id") or settings.get("user"),
        integer(counts.get("prompt")),
        integer(counts.get("completion")),
        502 if error else 200,
        error,
    )


def _answer(answers: list[Any], attributes: Mapping[str, Any], llm: Mapping[str, Any]) -> Answer:
    said = loads(attributes.get("output.value"))
    answer = answer_of(answers[0] if answers else said)
    whole = said if isinstance(said, Mapping) else {}
    choices = whole.get("choices")
    return answer._replace(cut=answer.cut or is_cut(llm, whole, *(choices[:1] if isinstance(choices, list) else [])))


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
        if name.startswith("llm."):
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
    found = mapping(loads(numbered))
    return [found[name] for name in sorted((name for name in found if name.isdecimal()), key=int)]
