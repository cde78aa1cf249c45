"""MLflow's traces: what `Trace.to_json`, `search_traces` and the REST API give, with their assessments.

Model calls are the outermost spans of type CHAT_MODEL or LLM; a trace without one is a call itself if its root has texts. An assessment by
a person is about the span it names, else about the call that gave the trace's answer; those of judges and code are no feedback.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    REQUEST,
    Imported,
    between,
    first,
    integer,
    loads,
    mapping,
    time_in,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, check_whole, decoded
from ftassets.domain.traffic.imports.opinions import Opinion, of_people
from ftassets.domain.traffic.imports.otlp import AROUND_CALLS, Span, hex_id

_READ = ("mlflow.", "model", "metadata", *AROUND_CALLS)  # begin the names of attributes that are read, or that describe the call
_TEXTS = ("mlflow.spanInputs", "mlflow.spanOutputs")
_CALLS = ("CHAT_MODEL", "LLM")
_ERROR = (2, "ERROR", "STATUS_CODE_ERROR")


def knows(attributes: Mapping[str, Any]) -> bool:
    """Whether these are attributes of a span of MLflow."""
    return "mlflow.spanType" in attributes or "mlflow.spanInputs" in attributes


def of_span(span: Span, assessments: Iterable[Mapping[str, Any]] = (), user: Any = None, any_type: bool = False) -> Imported:
    """The exchange of a span with its assessments, of a model call unless `any_type`.

    Raises ValueError unless it has recorded content.
    """
    found = {name: _plain(value) for name, value in span.attributes.items() if name not in _TEXTS}
    kind = str(found.get("mlflow.spanType") or "UNKNOWN")
    if kind not in _CALLS and not any_type:
        raise ValueError(f"no model call: a span of type {kind}")
    span.check_whole()
    found |= {name: _plain(decoded(span.attributes[name])) for name in _TEXTS if name in span.attributes}
    inputs = found.get("mlflow.spanInputs")
    request = mapping(inputs)
    asked = first(request, "messages", "input", "contents", "prompt") if request.keys() & {"model", "messages"} else inputs
    usage = mapping(found.get("mlflow.chat.tokenUsage"))
    feedback, left_out = of_people(assessments, _left_out, _opinion)
    read = REQUEST
    if any_type and len(request) == 1:  # the argument of a traced function
        read, asked = set(request), next(iter(request.values()))
    check_whole(request)
    system = first(request, "system", "instructions", "system_instruction")
    return to_imported(
        "mlflow",
        span.row_id,
        asked_of(asked if asked is not None else inputs, system, request.get("tools") or found.get("mlflow.chat.tools")),
        NO_ANSWER if span.error else answer_of(found.get("mlflow.spanOutputs")),
        span.timing,
        first(found, "mlflow.llm.model", "model") or request.get("model"),
        user or request.get("user"),
        integer(usage, "input_tokens"),
        integer(usage, "output_tokens"),
        502 if span.error else 200,
        span.error,
        feedback,
        span.names,
        [
            *unread(request if asked is not inputs else {}, read),
            *unread(found, request, _READ),
            *left_out,
        ],  # autologging repeats the request's fields
    )


def records(line: Any) -> Iterator[Any]:
    """The calls of each trace of a line, each with the trace's id, user and the assessments that are about it."""
    found = mapping(line)
    if isinstance(found.get("traces"), list):  # a page of the REST API
        for trace in found["traces"]:
            yield from records(trace)
        return
    whole = mapping(loads(found.get("trace"))) or found  # a row of search_traces as a table
    info, spans = mapping(whole.get("info")), mapping(whole.get("data")).get("spans", whole.get("spans"))
    if not isinstance(spans, list) or not spans:
        yield line
        return
    calls = _outermost(spans)
    asked = calls or [_root(spans)]
    opinions = [mapping(one) for one in info.get("assessments") or found.get("assessments") or [] if mapping(one).get("valid") is not False]
    answering = _answering(asked, _root(spans))
    user = mapping(first(info, "trace_metadata", "request_metadata")).get("mlflow.trace.user")
    for span in asked:
        own = [
            one for one in opinions if one.get("span_id") in (span.get("span_id"), None, "") and (one.get("span_id") or span is answering)
        ]
        yield {"span": span, "trace": first(info, "trace_id", "request_id"), "user": user, "assessments": own, "any_type": not calls}


def parse(record: Any) -> Imported:
    """The exchange of a call. Raises ValueError with the reason if it is not an exchange."""
    if not isinstance(record, Mapping) or not isinstance(record.get("span"), Mapping):
        raise ValueError("not a trace of MLflow with its spans")
    span = record["span"]
    context = mapping(span.get("context"))
    status = span.get("status", span.get("status_code"))
    code, message = (first(status, "code", "status_code"), status.get("message")) if isinstance(status, Mapping) else (status, None)
    timing = between(span, ("start_time_unix_nano", "start_time"), ("end_time_unix_nano", "end_time"))
    name = first(span, "span_id") or context.get("span_id")
    error = str(message or span.get("status_message") or "failed") if code in _ERROR else None
    return of_span(
        Span(dict(mapping(span.get("attributes"))), f"{record.get('trace')}-{hex_id(name)}", timing, error),
        record.get("assessments") or [],
        record.get("user"),
        bool(record.get("any_type")),
    )


def _outermost(spans: list[Any]) -> list[Mapping[str, Any]]:
    """Model calls that are not part of another model call."""
    by_id = {_id(span): span for span in spans if isinstance(span, Mapping)}
    calls = {name for name, span in by_id.items() if _plain(mapping(span.get("attributes")).get("mlflow.spanType")) in _CALLS}

    def within(name: Any) -> bool:
        seen = set()
        while (name := _parent(by_id.get(name, {}))) in by_id and name not in seen:
            seen.add(name)
            if name in calls:
                return True
        return False

    return [by_id[name] for name in by_id if name in calls and not within(name)]


def _root(spans: list[Any]) -> Mapping[str, Any]:
    return next((span for span in spans if isinstance(span, Mapping) and not _parent(span)), mapping(spans[0]))


def _answering(calls: list[Mapping[str, Any]], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The call whose answer the trace gave: the last one whose output is in the root's, else the last one."""
    given = _plain(mapping(root.get("attributes")).get("mlflow.spanOutputs"))
    said = given if isinstance(given, str) else json.dumps(given)
    ended = sorted(calls, key=lambda span: float(first(span, "end_time_unix_nano", "end_time") or 0))

    def gave(span: Mapping[str, Any]) -> bool:
        try:
            text = answer_of(_plain(mapping(span.get("attributes")).get("mlflow.spanOutputs"))).text
            return text in said or json.dumps(text)[1:-1] in said
        except ValueError:
            return False

    return next((span for span in reversed(ended) if gave(span)), ended[-1])


def _id(span: Mapping[str, Any]) -> Any:
    return first(span, "span_id") or mapping(span.get("context")).get("span_id")


def _parent(span: Mapping[str, Any]) -> Any:
    return first(span, "parent_span_id", "parent_id")


def _plain(value: Any) -> Any:
    """The value of an attribute, which MLflow writes as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _left_out(assessment: Mapping[str, Any]) -> str | None:
    """What an assessment is called in the report, unless a person gave it."""
    kind = str(mapping(assessment.get("source")).get("source_type") or "").lower()
    return None if kind == "human" else f"the assessment {_name(assessment)[:80]!r} of {kind or 'an unknown source'}"


def _name(assessment: Mapping[str, Any]) -> str:
    return str(first(assessment, "assessment_name", "name"))


def _opinion(assessment: Mapping[str, Any]) -> Opinion:
    expected = "expectation" in assessment
    held = mapping(assessment.get("expectation" if expected else "feedback"))
    at = time_in(assessment, "last_update_time", "create_time")
    value = held.get("value", mapping(held.get("serialized_value")).get("value"))
    return Opinion(_name(assessment), value, at, expected, assessment.get("rationale"))
