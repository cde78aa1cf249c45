"""Files of OpenAI's platform: examples for fine-tuning and preference tuning, stored completions, and requests with their responses.

A line is `{"messages": [...]}` (supervised fine-tuning), `{"input": {"messages": [...]}, "preferred_output": [...],
"non_preferred_output": [...]}` (preference tuning), a stored completion or response with the request next to `choices` or `output`, or
`{"request": {...}, "response": {...}}`. Of a preference the answer is the rejected one, and the preferred one is its correction.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports import chat_jsonl
from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    REQUEST,
    Imported,
    PersonFeedback,
    Timing,
    first,
    integer,
    loads,
    mapping,
    milliseconds,
    time_in,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, check_whole, decoded

_READ = {  # of a logged request, its response, or both in one
    "at", "body", "comment", "correction", "created", "created_at", "custom_id", "error", "finish_reason", "id", "kwargs", "latency_ms",
    "model", "object", "rating", "request", "request_id", "response", "status", "status_code", "tags", "timestamp", "user", "version",
}  # fmt: skip
_RESPONSE = {  # of a response of the API
    "choices", "completed_at", "incomplete_details", "input_user", "max_output_tokens", "max_tool_calls", "moderation", "output",
    "previous_response_id", "conversation", "background", "prompt_cache_retention", "request_id", "system_fingerprint", "top_logprobs",
    "tool_usage", "usage", "billing",
}  # fmt: skip


def records(line: Any) -> Iterator[Any]:
    """The members of a page of the API, else the line itself."""
    if isinstance(line, Mapping) and line.get("object") == "list" and isinstance(line.get("data"), list):
        yield from line["data"]
    else:
        yield line


def parse(record: Any) -> Imported:
    """The exchange of a line. Raises ValueError with the reason if the line is invalid."""
    if not isinstance(record, Mapping):
        raise ValueError("not an object")
    if "preferred_output" in record or "non_preferred_output" in record:
        return _preference(record)
    request, response = _parts(record)
    if response is None:
        return chat_jsonl.parse(record)
    asked = decoded(request.get("messages")) or first(request, "input", "prompt")
    if asked is None:
        raise ValueError('a stored completion without its messages: add what GET /v1/chat/completions/ID/messages gives as "messages"')
    feedback = chat_jsonl.feedback_in(record)
    status = integer(record, "status_code") or integer(response, "status_code") or 200
    body = mapping(response.get("body")) or response
    failed = status != 200 or bool(body.get("error"))
    usage = mapping(body.get("usage"))
    check_whole(request)
    return to_imported(
        "openai",
        first(body, "id") or first(record, "id", "request_id"),
        asked_of({"messages": asked} if isinstance(asked, list) else asked, _system(request), first(request, "tools", "functions")),
        NO_ANSWER if failed else answer_of(body),
        _timing(record, body),
        first(body, "model") or request.get("model"),
        first(request, "user", "safety_identifier", "input_user") or record.get("user"),
        integer(usage, "prompt_tokens", "input_tokens"),
        integer(usage, "completion_tokens", "output_tokens"),
        (status if status != 200 else 502) if failed else 200,
        str(first(mapping(body.get("error")), "code", "type") or f"status {status}") if failed else None,
        feedback,
        left_out=sorted({name for place in (record, request, body) for name in unread(place, _READ | _RESPONSE | REQUEST)}),
    )


def _parts(record: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any] | None]:
    """What was asked, and the response, if the line has one."""
    response = mapping(loads(record.get("response")))
    if response:
        request = mapping(loads(first(record, "request", "body", "kwargs")))
        return mapping(request.get("body")) or request or record, response
    return record, record if "choices" in record or record.get("object") == "response" else None


def _system(request: Mapping[str, Any]) -> Any:
    return first(request, "system", "instructions")


def _timing(record: Mapping[str, Any], body: Mapping[str, Any]) -> Timing:
    at = time_in(body, "created", "created_at")
    return Timing(at or time_in(record, "created", "created_at", "timestamp", "at"), milliseconds(record, "latency_ms"))


def _preference(record: Mapping[str, Any]) -> Imported:
    inner = record.get("input")
    for name in ("preferred_output", "non_preferred_output"):
        if isinstance(said := record.get(name), list) and len(said) > 1:
            raise ValueError(f"the field {name!r} has {len(said)} messages: an answer is one")
    rejected, preferred = answer_of(record.get("non_preferred_output")), answer_of(record.get("preferred_output"))
    if rejected.text == preferred.text:
        raise ValueError("the preferred and the other output are the same")
    timing = Timing(time_in(record, "created", "created_at"))
    asked = asked_of({name: value for name, value in mapping(inner).items() if name != "parallel_tool_calls"} or inner)
    left_out = unread(record, {*_READ, "input", "preferred_output", "non_preferred_output"})
    said = PersonFeedback("down", preferred.call or preferred.text)
    return to_imported("openai", record.get("id"), asked, rejected, timing, feedback=said, left_out=left_out)
