"""Langfuse exports: pages of the API, observations or traces, with the API's names (`startTime`) or the blob export's (`start_time`).

Of observations only those of type GENERATION are model calls; a trace that holds its generations gives them, else its own input and
output. Times without an offset are UTC, latencies are in seconds. Scores of a trace by people are feedback on its answer; those of
Langfuse's own evaluators are not.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Imported,
    Timing,
    between,
    first,
    integer,
    loads,
    mapping,
    milliseconds,
    seconds,
    to_imported,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of
from ftassets.domain.traffic.imports.opinions import Opinion, feedback_of

_OWN = {"traceId", "trace_id", "startTime", "start_time", "timestamp", "observations"}


def records(line: Any) -> Iterator[Any]:
    """The members of a page, the generations of a trace that has some, else the line itself."""
    if isinstance(line, Mapping) and isinstance(line.get("data"), list) and "input" not in line:
        for member in line["data"]:
            yield from records(member)
        return
    inner = line.get("observations") if isinstance(line, Mapping) else None
    generations = [one for one in inner if isinstance(one, Mapping) and one.get("type") == "GENERATION"] if isinstance(inner, list) else []
    scores = _scores(line) if isinstance(line, Mapping) else []
    newest = max(generations, key=lambda one: str(first(one, "startTime", "start_time")), default=None)  # what the user saw
    for generation in generations:
        own = [score for score in scores if _of(score) == generation.get("id") or (_of(score) is None and generation is newest)]
        yield {"userId": line.get("userId"), **generation, "scores": own}
    if not generations:
        yield line


def _scores(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = trace.get("scores")
    return [score for score in found if isinstance(score, Mapping)] if isinstance(found, list) else []


def _of(score: Mapping[str, Any]) -> Any:
    """The id of the observation that a score is about; None of a score of the whole trace."""
    return first(score, "observationId", "observation_id")


def parse(record: Any) -> Imported:
    """The exchange of an observation or a trace. Raises ValueError with the reason if it is not an exchange."""
    if not isinstance(record, Mapping) or "input" not in record:
        raise ValueError('neither an observation nor a trace: it has no "input"')
    if not record.keys() & _OWN:  # Alpaca's rows have an input and an output too
        raise ValueError(f"neither an observation nor a trace: it has none of {', '.join(sorted(_OWN))}")
    if (kind := record.get("type") or "GENERATION") != "GENERATION":
        raise ValueError(f"no model call: an observation of type {kind}")
    failed = record.get("level") == "ERROR"
    parameters = mapping(loads(first(record, "modelParameters", "model_parameters")))
    usage = mapping(first(record, "usageDetails", "usage_details", "usage"))
    decoded = _unquoted if "start_time" in record else _as_it_is  # the blob export has texts as JSON too
    return to_imported(
        "langfuse",
        record.get("id"),
        asked_of(decoded(record["input"]), parameters.get("system"), parameters.get("tools") or parameters.get("functions")),
        NO_ANSWER if failed else answer_of(decoded(record.get("output"))),
        _timing(record),
        first(record, "model", "providedModelName", "provided_model_name"),
        first(record, "userId", "user_id"),
        integer(first(usage, "input", "inputTokens", "promptTokens")),
        integer(first(usage, "output", "outputTokens", "completionTokens")),
        502 if failed else 200,
        str(first(record, "statusMessage", "status_message") or "failed") if failed else None,
        feedback_of(_opinion(score) for score in _scores(record) if score.get("source") != "EVAL"),
    )


def _opinion(score: Mapping[str, Any]) -> Opinion:
    kind = first(score, "dataType", "data_type")
    if kind == "CORRECTION":
        return Opinion(
            "correction",
            first(score, "longStringValue", "long_string_value", "stringValue", "value"),
            _when(score),
            True,
            score.get("comment"),
        )
    value = (
        first(score, "stringValue", "string_value") if kind == "CATEGORICAL" else bool(score.get("value")) if kind == "BOOLEAN" else None
    )
    return Opinion(str(score.get("name")), score.get("value") if value is None else value, _when(score), comment=score.get("comment"))


def _when(score: Mapping[str, Any]) -> float | None:
    return seconds(first(score, "timestamp", "updatedAt", "createdAt"))


def _as_it_is(value: Any) -> Any:
    return value


def _unquoted(value: Any) -> Any:
    """A text that is written as a JSON string."""
    if isinstance(value, str) and value.startswith('"'):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _timing(record: Mapping[str, Any]) -> Timing:
    times = between(
        first(record, "startTime", "start_time", "timestamp"),
        first(record, "endTime", "end_time"),
        first(record, "completionStartTime", "completion_start_time"),
    )
    latency = times.latency_ms if times.latency_ms is not None else milliseconds(record.get("latency"), 1000.0)
    return Timing(times.at, latency, times.first_token_ms)
