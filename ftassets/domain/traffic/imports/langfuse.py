"""Langfuse exports: pages of the API, observations or traces, with the API's names (`startTime`) or the blob export's (`start_time`).

Of observations only those of type GENERATION are model calls; a trace that holds its generations gives them, else its own input and
output. Times without an offset are UTC, latencies are in seconds.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports.fields import Timing, between, integer, loads, mapping, milliseconds, to_exchange
from ftassets.domain.traffic.imports.messages import answer_of, asked_of


def records(line: Any) -> Iterator[Any]:
    """The members of a page, the generations of a trace that has some, else the line itself."""
    if isinstance(line, Mapping) and isinstance(line.get("data"), list) and "input" not in line:
        for member in line["data"]:
            yield from records(member)
        return
    inner = line.get("observations") if isinstance(line, Mapping) else None
    generations = [one for one in inner if isinstance(one, Mapping) and one.get("type") == "GENERATION"] if isinstance(inner, list) else []
    for generation in generations:
        yield {"userId": line.get("userId"), **generation}
    if not generations:
        yield line


def parse(record: Any) -> Exchange:
    """The exchange of an observation or a trace. Raises ValueError with the reason if it is not an exchange."""
    if not isinstance(record, Mapping) or "input" not in record:
        raise ValueError('neither an observation nor a trace: it has no "input"')
    if (kind := record.get("type") or "GENERATION") != "GENERATION":
        raise ValueError(f"no model call: an observation of type {kind}")
    failed = record.get("level") == "ERROR"
    parameters = mapping(loads(_first(record, "modelParameters", "model_parameters")))
    usage = mapping(_first(record, "usageDetails", "usage_details", "usage"))
    return to_exchange(
        "langfuse",
        record.get("id"),
        asked_of(record["input"], parameters.get("system"), parameters.get("tools") or parameters.get("functions")),
        "" if failed else answer_of(record.get("output")),
        _timing(record),
        _first(record, "model", "providedModelName", "provided_model_name"),
        _first(record, "userId", "user_id"),
        integer(_first(usage, "input", "inputTokens", "promptTokens")),
        integer(_first(usage, "output", "outputTokens", "completionTokens")),
        502 if failed else 200,
        str(_first(record, "statusMessage", "status_message") or "failed") if failed else None,
    )


def _timing(record: Mapping[str, Any]) -> Timing:
    times = between(
        _first(record, "startTime", "start_time", "timestamp"),
        _first(record, "endTime", "end_time"),
        _first(record, "completionStartTime", "completion_start_time"),
    )
    latency = times.latency_ms if times.latency_ms is not None else milliseconds(record.get("latency"), 1000.0)
    return Timing(times.at, latency, times.first_token_ms)


def _first(record: Mapping[str, Any], *names: str) -> Any:
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)
