"""Conversations as JSON lines: `{"messages": [...]}`, the last message the answer.

Optional: `tools`, `system`, `id` (of the conversation), `model` or `version`, `user`, `created` or `at` (epoch or ISO 8601),
`latency_ms`, `status`, `usage` and `finish_reason` as OpenAI's API has them, `rating` (up or down), `correction`, `comment` and
`tags`. A failed request has no answer and a `status` other than 200.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ftassets.domain.chat import Asked
from ftassets.domain.dataset.row_shapes import holds_text
from ftassets.domain.traffic.feedback import tags_text
from ftassets.domain.traffic.imports.fields import (
    NO_ANSWER,
    Answer,
    Imported,
    PersonFeedback,
    Timing,
    integer,
    loads,
    mapping,
    milliseconds,
    time_in,
    to_imported,
    unread,
)
from ftassets.domain.traffic.imports.messages import answer_of, asked_of, check_keys, is_cut, is_message
from ftassets.domain.traffic.imports.opinions import rated

_CONTEXT = (  # what else a model may have read
    "attachments", "context", "contexts", "documents", "history", "images", "input", "instructions", "prompt", "system_prompt",
)  # fmt: skip
_READ = {
    "at", "comment", "correction", "created", "error", "finish_reason", "functions", "id", "latency_ms", "messages", "model", "rating",
    "status", "system", "tags", "tools", "usage", "user", "version",
}  # fmt: skip
_OPINIONS = (  # what somebody may have said of the answer
    "annotations", "assessments", "feedback", "label", "labels", "score", "scores", "thumbs", "weight",
)  # fmt: skip


def records(line: Any) -> Iterator[Any]:
    """The line itself."""
    yield line


def parse(record: Any) -> Imported:
    """The exchange of a line. Raises ValueError with the reason if the line is invalid."""
    if not isinstance(record, Mapping) or "messages" not in record:
        raise ValueError('not an object with "messages"')
    messages = loads(record["messages"])
    if not isinstance(messages, list) or not messages or not all(map(is_message, messages)):
        raise ValueError('"messages" is not a list of messages with a role')
    check_keys(record["messages"])
    if lost := [name for name in _CONTEXT if holds_text(record.get(name))]:
        raise ValueError(f"the field {lost[0]!r} cannot be used: write its text into the messages")
    feedback = feedback_in(record)
    status = integer(record, "status")
    if status is not None and not 100 <= status <= 599:
        raise ValueError(f"status: {status} is not an HTTP status")
    answered = messages[-1]["role"] in ("assistant", "model", "ai")
    if answered and record.get("error") and status in (None, 200):
        raise ValueError("it has an answer and the field 'error': give a failed request its `status`, or leave the error out")
    if status is None and record.get("error"):
        status = 502
    failed = status is not None and status != 200
    if not answered and not failed:
        raise ValueError("the last message is not the assistant's")
    asked = asked_of(messages[:-1] if answered else messages, record.get("system"), record.get("tools") or record.get("functions"))
    usage = mapping(record.get("usage"))
    return to_imported(
        "chat",
        _id(record.get("id"), asked),
        asked,
        NO_ANSWER if not answered or (failed and not _says(messages[-1])) else _answer(messages[-1], record),
        Timing(time_in(record, "created", "at"), milliseconds(record, "latency_ms")),
        record.get("version") or record.get("model"),
        record.get("user"),
        integer(usage, "prompt_tokens"),
        integer(usage, "completion_tokens"),
        200 if status is None else status,
        str(record.get("error") or f"status {status}") if failed else None,
        feedback,
        left_out=unread(record, _READ | {"truncated", "stop_reason", "object"}),
    )


def _says(message: Mapping[str, Any]) -> bool:
    """Whether a message has a text or a call: that of a request which failed may be empty."""
    return holds_text(message.get("content")) or bool(message.get("tool_calls"))


def _answer(message: Any, record: Mapping[str, Any]) -> Answer:
    answer = answer_of(message)
    return answer._replace(cut=answer.cut or is_cut(record))


def feedback_in(record: Mapping[str, Any]) -> PersonFeedback | None:
    """The rating and the correction of a record. Raises ValueError, by its name, for other judgements of the answer."""
    if lost := [name for name in _OPINIONS if record.get(name) not in (None, "", [], {}) and (name, record[name]) != ("weight", 1)]:
        raise ValueError(f'the field {lost[0]!r} cannot be used: say what people thought of the answer as "rating", up or down')
    rating, correction = record.get("rating"), record.get("correction")
    if rating in (None, "") and correction in (None, ""):
        if lost := [name for name in ("comment", "tags") if record.get(name)]:
            raise ValueError(f"the field {lost[0]!r} comes with a rating or a correction: there is neither")
        return None
    if rating not in (None, "") and (rated(rating) is None or (rating == 1 and rating is not True)):  # 1 may be of five stars
        raise ValueError(f"the rating {str(rating)[:30]!r} is neither up nor down")
    if correction is not None and not isinstance(correction, str):
        raise ValueError("the correction is not a text")
    comment = record.get("comment")
    if comment is not None and not isinstance(comment, str):
        raise ValueError("the comment is not a text")
    tags = record.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise ValueError("the tags are not a list of texts")
    return PersonFeedback(None if rating in (None, "") else rated(rating), correction or None, None, comment or None, tags_text(tags))


def _id(conversation: Any, asked: Asked) -> Any:
    """The conversation's id, from the second turn on with the number of the turn: logs write a line for each under one id."""
    turns = sum(message.role == "user" for message in asked.messages)
    return conversation if turns == 1 or conversation in (None, "") else f"{conversation}:{turns}"
