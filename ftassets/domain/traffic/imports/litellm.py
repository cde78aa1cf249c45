"""LiteLLM's logs as JSON lines: its standard logging payload, or rows of the table LiteLLM_SpendLogs.

Both have `messages`, `response`, `startTime`, `endTime`, `model` and token counts; the payload's id is `id` and its times are
numbers, the table's are `request_id` and text. The table holds messages only with `store_prompts_in_spend_logs: true`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Imported,
    between,
    integer,
    loads,
    mapping,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, decoded

_KNOWN = {  # what is read, and what describes the call
    "agent_id", "api_base", "api_key", "cache_hit", "cache_key", "call_type", "completionStartTime", "completion_start_time",
    "cost_breakdown", "custom_llm_provider", "endTime", "end_user", "error_code", "error_information", "error_str", "guardrail_information",
    "hidden_params", "id", "litellm_call_id", "litellm_environment", "litellm_trace_id", "mcp_namespaced_tool_name",
    "mcp_tool_call_metadata", "messages", "metadata", "model", "model_group", "model_id", "model_map_information", "model_parameters",
    "optional_params", "organization_id", "proxy_server_request", "requester_ip_address", "request_id", "request_tags", "response",
    "session_id", "standard_built_in_tools_params", "startTime", "status", "status_fields", "team_id", "trace_id", "updated_at",
    "user", "user_agent",
}  # fmt: skip
_CHAT = ("", "completion", "acompletion", "text_completion", "atext_completion")


def records(line: Any) -> Iterator[Any]:
    """The payload of a line, also where it is wrapped as callbacks get it."""
    yield line["standard_logging_object"] if isinstance(line, Mapping) and "standard_logging_object" in line else line


def parse(record: Any) -> Imported:
    """The exchange of a record. Raises ValueError with the reason if it is not an exchange."""
    if not isinstance(record, Mapping) or "messages" not in record:
        raise ValueError('not an object with "messages"')
    if (kind := record.get("call_type") or "") not in _CHAT:
        raise ValueError(f"no chat: its call_type is {kind!r}")
    failed = record.get("status") == "failure"
    # "{}" stands for what is not stored, or for what is in the request that the proxy got
    messages, response = (None if record.get(name) in ("{}", {}) else record.get(name) for name in ("messages", "response"))
    sent = _sent(record)
    return to_imported(
        "litellm",
        record.get("request_id") or record.get("id"),
        asked_of(decoded(sent.get("messages") if messages is None else messages), *_elsewhere(record)),
        NO_ANSWER if failed else answer_of(decoded(response) if "request_id" in record else response),
        between(record, ("startTime",), ("endTime",), ("completionStartTime",) if _streamed(record) else ()),
        record.get("model"),
        record.get("end_user") or record.get("user"),
        integer(record, "prompt_tokens"),
        integer(record, "completion_tokens"),
        _status(record) if failed else 200,
        str(_error(record).get("error_class") or record.get("error_str") or "failed") if failed else None,
        left_out=unread(record, _KNOWN),
    )


def _sent(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The request that the proxy got. Raises ValueError if the log cut it."""
    sent = mapping(decoded(record.get("proxy_server_request")))
    return mapping(loads(sent.get("body", sent)))


def _streamed(record: Mapping[str, Any]) -> bool:
    """Without streaming LiteLLM repeats the end as time of the first token."""
    return record.get("completionStartTime") != record.get("endTime")


def _error(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(record.get("error_information") or mapping(loads(record.get("metadata"))).get("error_information"))


def _status(record: Mapping[str, Any]) -> int:
    code = str(_error(record).get("error_code") or "")
    return int(code) if code.isdecimal() and len(code) == 3 else 502


def _elsewhere(record: Mapping[str, Any]) -> tuple[Any, Any]:
    """System prompt and tools of a request: in its parameters, or in the request that the proxy got."""
    places = [*(mapping(loads(record.get(name))) for name in ("model_parameters", "optional_params")), _sent(record)]
    tools = next((place[name] for place in places for name in ("tools", "functions") if place.get(name)), None)
    return next((place["system"] for place in places if place.get("system")), None), tools
