"""Conversations as JSON lines: `{"messages": [...]}`, the last message the answer.

Optional: `id`, `model` or `version`, `user`, `created` or `at` (epoch or ISO 8601), `latency_ms`, `status`, and `usage` as
OpenAI's API has it. A failed request has no answer and a `status` other than 200.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports.fields import Timing, answer_of, integer, mapping, milliseconds, request_messages, seconds, to_exchange


def records(line: Any) -> Iterator[Any]:
    """The line itself."""
    yield line


def parse(record: Any) -> Exchange:
    """The exchange of a line. Raises ValueError with the reason if the line is invalid."""
    if not isinstance(record, Mapping) or "messages" not in record:
        raise ValueError('not an object with "messages"')
    messages = request_messages(record["messages"])
    status = integer(record.get("status"))
    if status is not None and not 100 <= status <= 599:
        raise ValueError(f"{status} is not an HTTP status")
    failed = status is not None and status != 200
    answered = messages[-1]["role"] == "assistant"
    if not answered and not failed:
        raise ValueError("the last message is not the assistant's")
    usage = mapping(record.get("usage"))
    return to_exchange(
        "chat",
        record.get("id"),
        messages[:-1] if answered else messages,
        answer_of(messages[-1]) if answered else "",
        Timing(seconds(record.get("created", record.get("at"))), milliseconds(record.get("latency_ms"))),
        record.get("version") or record.get("model"),
        record.get("user"),
        integer(usage.get("prompt_tokens")),
        integer(usage.get("completion_tokens")),
        200 if status is None else status,
        str(record.get("error") or f"status {status}") if failed else None,
    )
