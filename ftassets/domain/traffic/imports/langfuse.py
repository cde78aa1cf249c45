"""Langfuse exports: pages of the API, observations, traces or scores, with the API's names (`startTime`) or the blob export's
(`start_time`).

Of observations only those of type GENERATION are model calls; a trace that holds its generations gives them, else its own input and
output. Times without an offset are UTC, latencies are in seconds. Scores by people, in a trace or in records of their own, are feedback
on the answer of their observation, or on the last answer of their trace. Scores of Langfuse's evaluators are not, nor are those of its
API (`source: API`, which says nothing of who gave them) unless their name or an author says that they are people's.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Assessment,
    Imported,
    Timing,
    between,
    first,
    integer,
    loads,
    mapping,
    milliseconds,
    safe_id,
    time_in,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, decoded
from ftassets.domain.traffic.imports.opinions import Opinion, by_people, of_people

_READ = {
    "input", "output", "model", "providedModelName", "provided_model_name", "userId", "user_id", "modelParameters", "model_parameters",
    "level", "statusMessage", "status_message", "scores",
}  # fmt: skip
_ABOUT = {  # names, ids, times and settings, which say nothing to a model
    "bookmarked", "completionStartTime", "completion_start_time", "completionStart", "costDetails", "cost_details", "createdAt",
    "created_at", "endTime", "end_time", "environment", "externalId", "external_id", "htmlPath", "id", "internalModelId",
    "internal_model_id", "modelId", "model_id", "name", "observations", "parentObservationId", "parent_observation_id", "projectId",
    "project_id", "promptId", "promptName", "promptVersion", "prompt_id", "prompt_name", "prompt_version", "public", "release", "sessionId",
    "session_id", "source", "startTime", "start_time", "timestamp", "tokenizerId", "toolCallNames", "tool_call_names", "tags", "traceId",
    "traceName", "trace_id", "trace_name", "type", "unit", "updatedAt", "updated_at", "usage", "usageDetails", "usagePricingTierName",
    "usage_details", "usage_pricing_tier_name", "version",
}  # fmt: skip
_VALUES = ("value", "stringValue", "string_value", "longStringValue", "long_string_value")
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
        yield {"userId": line.get("userId"), "traceId": line.get("id"), **generation, "scores": own}
    if not generations:
        yield line


def _scores(trace: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = trace.get("scores")
    return [score for score in found if isinstance(score, Mapping)] if isinstance(found, list) else []


def _of(score: Mapping[str, Any]) -> Any:
    """The id of the observation that a score is about; None of a score of the whole trace."""
    return first(score, "observationId", "observation_id")


def parse(record: Any) -> Imported | Assessment:
    """The exchange of an observation or a trace, or what a score says of one. Raises ValueError with the reason if it is neither."""
    if _is_score(record):
        return _assessment(record)
    if not isinstance(record, Mapping) or "input" not in record:
        raise ValueError('neither an observation nor a trace: it has no "input"')
    if not record.keys() & _OWN:  # Alpaca's rows have an input and an output too
        raise ValueError(f"neither an observation nor a trace: it has none of {', '.join(sorted(_OWN))}")
    if (kind := record.get("type") or "GENERATION") != "GENERATION":
        raise ValueError(f"no model call: an observation of type {kind}")
    failed = record.get("level") == "ERROR"
    parameters = mapping(loads(first(record, "modelParameters", "model_parameters")))
    usage = mapping(first(record, "usageDetails", "usage_details", "usage"))
    feedback, left_out = of_people(_scores(record), _left_out, _opinion)
    blob = "start_time" in record  # that export has texts as JSON too
    asked, said = (_unquoted(record.get(name)) if blob else record.get(name) for name in ("input", "output"))
    return to_imported(
        "langfuse",
        record.get("id"),
        asked_of(
            decoded(asked) if blob and asked == record["input"] else asked,
            parameters.get("system"),
            parameters.get("tools") or parameters.get("functions"),
        ),
        NO_ANSWER if failed else answer_of(said),
        _timing(record),
        first(record, "model", "providedModelName", "provided_model_name"),
        first(record, "userId", "user_id"),
        integer(usage, "input", "inputTokens", "promptTokens"),
        integer(usage, "output", "outputTokens", "completionTokens"),
        502 if failed else 200,
        str(first(record, "statusMessage", "status_message") or "failed") if failed else None,
        feedback,
        (f"trace:{first(record, 'traceId', 'trace_id', 'id')}",),
        [*unread(record, _READ | _ABOUT), *left_out],
    )


def _is_score(record: Any) -> bool:
    return (
        isinstance(record, Mapping)
        and "name" in record
        and "input" not in record
        and bool(record.keys() & set(_VALUES))
        and bool(record.keys() & {"traceId", "trace_id", "observationId", "observation_id", "sessionId", "session_id", "subject"})
    )


def _assessment(score: Mapping[str, Any]) -> Assessment:
    subject = mapping(score.get("subject"))  # of the newest API
    kind, name = subject.get("kind"), subject.get("id")
    observation = name if kind == "observation" else _of(score)
    trace = name if kind == "trace" else first(score, "traceId", "trace_id")
    about = observation or trace
    if not about:
        raise ValueError("the score is not about an answer: it names neither an observation nor a trace")
    own = f"langfuse:{safe_id(about)}"
    return Assessment((own, f"span:{about}") if observation else (f"trace:{about}", own), *of_people([score], _left_out, _opinion))


def _left_out(score: Mapping[str, Any]) -> str | None:
    """What a score is called in the report, unless a person gave it."""
    source, name = score.get("source"), str(score.get("name"))[:80]
    if source == "EVAL":
        return f"the score {name!r} of an evaluator"
    people = (
        source != "API"
        or first(score, "dataType", "data_type") == "CORRECTION"
        or first(score, "authorUserId", "author_user_id")
        or by_people(name)
    )
    return None if people else f"the score {name!r}, of which nothing says that a person gave it"


def _opinion(score: Mapping[str, Any]) -> Opinion:
    kind = first(score, "dataType", "data_type")
    name, value, at, comment = str(score.get("name")), score.get("value"), _when(score), score.get("comment")
    text = first(score, "longStringValue", "long_string_value", "stringValue", "string_value")
    if kind == "CORRECTION":
        return Opinion("correction", text or value, at, True, comment)
    if kind == "TEXT":
        return Opinion(name, None, at, comment=text or value)
    if kind == "CATEGORICAL":
        return Opinion(name, text or value, at, comment=comment)
    return Opinion(name, bool(value) if kind == "BOOLEAN" else value, at, comment=comment)


def _when(score: Mapping[str, Any]) -> float | None:
    """When a score was given, or was changed last."""
    times = [time_in(score, name) for name in ("timestamp", "updatedAt", "updated_at", "createdAt", "created_at")]
    return max((each for each in times if each is not None), default=None)


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
        record,
        ("startTime", "start_time", "timestamp"),
        ("endTime", "end_time"),
        ("completionStartTime", "completion_start_time"),
    )
    latency = times.latency_ms if times.latency_ms is not None else milliseconds(record, "latency", 1000.0)
    return Timing(times.at, latency, times.first_token_ms)
