"""OpenTelemetry's spans and log records as JSON: OTLP as exporters and collectors write it, or as the SDK prints them."""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ftassets.domain.traffic.imports.fields import Timing, between, first, mapping
from ftassets.wording import amount

_LEVELS = ("resourceSpans", "scopeSpans", "instrumentationLibrarySpans", "spans", "resourceLogs", "scopeLogs", "logRecords")
_AROUND = {"resource", "scope", "instrumentationLibrary", "instrumentation_library", "schemaUrl", "schema_url", "traceId", *_LEVELS}
_NAMES = {  # as the SDK prints spans and log records, and as protobuf writes its own names
    "trace_id": "traceId", "span_id": "spanId", "parent_span_id": "parentSpanId", "start_time": "startTimeUnixNano",
    "end_time": "endTimeUnixNano", "start_time_unix_nano": "startTimeUnixNano", "end_time_unix_nano": "endTimeUnixNano",
    "time_unix_nano": "timeUnixNano", "timestamp": "timeUnixNano", "observed_timestamp": "observedTimeUnixNano",
    "observed_time_unix_nano": "observedTimeUnixNano", "event_name": "eventName", "resource_spans": "resourceSpans",
    "scope_spans": "scopeSpans", "resource_logs": "resourceLogs", "scope_logs": "scopeLogs", "log_records": "logRecords",
}  # fmt: skip
_TYPES = ("stringvalue", "boolvalue", "intvalue", "doublevalue", "bytesvalue", "arrayvalue", "kvlistvalue")
AROUND_CALLS = (  # begin the names of attributes that say where and how a call was made, and hold nothing that a model reads
    "cloud.", "code.", "deployment.", "enduser.", "error.", "exception.", "host.", "http.", "k8s.", "net.", "network.", "otel.", "peer.",
    "process.", "rpc.", "server.", "service.", "session.", "telemetry.", "thread.", "url.", "user.", "user_agent.",
)  # fmt: skip
_DROPPED = (
    "droppedAttributesCount", "dropped_attributes_count", "dropped_attributes", "droppedEventsCount", "dropped_events_count",
    "dropped_events",
)  # fmt: skip
_ERROR = (2, "2", "ERROR", "STATUS_CODE_ERROR")


class Span(NamedTuple):
    """What all spans have: attributes, an id, when it was, and the error it ended with."""

    attributes: dict[str, Any]
    row_id: str | None
    timing: Timing
    error: str | None
    dropped: int = 0  # attributes and events that were too many for the SDK

    def check_whole(self) -> None:
        """Raise ValueError if the SDK dropped a part of the span, the oldest first: the beginning of the conversation may be in it."""
        if self.dropped:
            raise ValueError(
                f"the span lost {amount(self.dropped, 'attribute or event', 'attributes or events')}: "
                "raise OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and OTEL_SPAN_EVENT_COUNT_LIMIT where it is made"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """How an assessment names the span, and its trace."""
        trace, _, span = (self.row_id or "").rpartition("-")
        return tuple(f"{what}:{name}" for what, name in (("span", span), ("trace", trace)) if name)


def records(line: Any) -> Iterator[Any]:
    """The spans and log records of a line, with the names and ids that OTLP's JSON has.

    An object that says more than OTLP does around its spans, such as a trace of MLflow with its assessments, is given as it is: what it
    says would be lost.
    """
    if not isinstance(line, Mapping):
        yield line
        return
    found = {_NAMES.get(str(name), str(name)): value for name, value in line.items()}
    inner = [found[level] for level in _LEVELS if level in found] if found.keys() <= _AROUND else []
    for members in inner:
        for member in members if isinstance(members, list) else [members]:
            yield from records(member)
    if not inner:
        yield _named(found)


def _named(record: dict[str, Any]) -> dict[str, Any]:
    context = mapping(record.get("context"))
    ids = {to: context[name] for name, to in (("trace_id", "traceId"), ("span_id", "spanId")) if name in context}
    ids |= {name: hex_id(record[name]) for name in ("traceId", "spanId") if name in record} | {name: hex_id(ids[name]) for name in ids}
    return {**record, **ids}


def hex_id(name: Any) -> Any:
    """An id in hexadecimal: protobuf's JSON has base64, OTLP's JSON hexadecimal, the SDK prints 0x before it."""
    if not isinstance(name, str):
        return name
    if len(name) in (12, 24):
        try:
            return base64.b64decode(name, validate=True).hex()
        except (binascii.Error, ValueError):
            return name
    return name.removeprefix("0x")


def span_of(record: Any) -> Span:
    """A span or a log record. Raises ValueError if it is neither."""
    if not isinstance(record, Mapping) or "attributes" not in record:
        raise ValueError("not a span with attributes")
    attributes = attributes_of(record)
    pairs = record["attributes"] if isinstance(record["attributes"], list) else []
    if lost := next((name for name, value in _named_values(pairs) if attributes[name] != value), None):
        raise ValueError(f"the attribute {lost[:80]!r} is there twice, with different values")
    status = mapping(record.get("status")) or {"code": record.get("status_code"), "message": record.get("status_message")}
    error = attributes.get("error.type")
    failed = first(status, "code", "status_code") in _ERROR or error
    return Span(
        attributes,
        f"{record.get('traceId') or ''}-{record['spanId']}" if record.get("spanId") else None,
        between(record, ("startTimeUnixNano", "timeUnixNano", "observedTimeUnixNano"), ("endTimeUnixNano",)),
        str(first(status, "message", "description") or error or "failed") if failed else None,
        sum(map(_dropped, [record, *(record["events"] if isinstance(record.get("events"), list) else [])])),
    )


def _dropped(owner: Any) -> int:
    """How many attributes and events a span or an event lost, as protobuf's JSON or the SDK says it."""
    counts = [mapping(owner).get(name) for name in _DROPPED]
    return sum(int(count or 0) for count in counts if str(count or 0).isdecimal())


def attributes_of(owner: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes as a dict, from OTLP's list of key and typed value or from a plain object."""
    found = owner.get("attributes")
    if isinstance(found, Mapping):
        return dict(found)
    pairs = found if isinstance(found, list) else []
    return dict(_named_values(pairs))


def _named_values(pairs: list[Any]) -> list[tuple[str, Any]]:
    return [(str(pair["key"]), value_of(pair.get("value"))) for pair in pairs if isinstance(pair, Mapping) and "key" in pair]


def value_of(value: Any) -> Any:
    """OTLP's AnyValue: `{"stringValue": ...}`, `{"intValue": "12"}`, `{"arrayValue": {"values": [...]}}`, `{"kvlistValue": ...}`."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    name, inner = next(iter(value.items()))
    kind = name.lower().replace("_", "")
    if kind not in _TYPES:
        return value
    if kind in ("arrayvalue", "kvlistvalue"):
        members = mapping(inner).get("values")
        members = members if isinstance(members, list) else []
        if kind == "arrayvalue":
            return [value_of(member) for member in members]
        return {str(member["key"]): value_of(member.get("value")) for member in members if isinstance(member, Mapping) and "key" in member}
    return int(inner) if kind == "intvalue" and str(inner).lstrip("-").isdecimal() else inner


def in_order(numbered: Mapping[str, Any]) -> list[Any]:
    """Members that have numbers as names, in their order. Raises ValueError if the first or one between is missing."""
    numbers = sorted(int(name) for name in numbered if name.isdecimal())
    if missing := set(range(len(numbers))) - set(numbers):
        raise ValueError(f"member {min(missing)} of a list of {len(numbers)} in the attributes is missing: the log lost it")
    return [numbered[str(number)] for number in numbers]
