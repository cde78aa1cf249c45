"""Labelling batches as Argilla's records: out as `dataset.records.from_json` reads them, back as `records.to_list(flatten=True)` has them.

Only the flattened list and the server's own records say which responses were submitted: `to_json` writes drafts and discarded
responses among them, and nothing tells them apart.

The Argilla dataset needs a text field `prompt` (the last message), a chat field `conversation` (all messages, and the tools if there
are some), a text question `completion`, and the metadata `version`, `why` and `batch` (terms).
The model's answer is the suggestion.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from ftassets.domain.dataset.labelling.fields import Parsed, carried, collect, json_list, labelled, shown
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.labelling.select import Item

FIELD, CHAT, QUESTION = "prompt", "conversation", "completion"


def to_text(items: Sequence[Item], batch: str) -> str:
    """A JSON list of records; the request id is the record's id."""
    records = [
        {
            "id": item.request_id,
            "fields": {FIELD: item.asked.last_text, CHAT: shown(item.asked)},
            "metadata": {"version": item.version, "why": item.why, "batch": batch, **({"comment": item.comment} if item.comment else {})},
            "suggestions": {QUESTION: {"value": item.answer, "score": None, "agent": item.version}} if item.answer else {},
            "responses": {},
            "vectors": {},
            "_server_id": None,
        }
        for item in items
    ]
    return json.dumps(records, ensure_ascii=False, indent=1) + "\n"


def parse(text: str) -> Parsed:
    """Submitted responses as labels, and the records without one. Raises ValueError unless the text is a list of records."""
    return collect(json_list(text, "record"), _labels)


class _Response(NamedTuple):
    value: Any
    annotator: Any
    status: Any
    at: Any = None


def _labels(record: Any) -> Iterator[Label | ValueError]:
    responses = [one for one in _responses(record) if one.value not in (None, "")]
    known = [one for one in responses if one.status is not None]
    if len(known) < len(responses) and (record.get("status") != "completed" or len(responses) > 1):
        raise ValueError(_NO_STATUS)
    # of a completed record one response was submitted
    answered = [one for one in responses if one.status in ("submitted", None)]
    if not answered:
        states = sorted({str(one.status) for one in responses})
        raise ValueError(f"no annotator answered it: {' and '.join(states)} responses only" if states else "no annotator answered it")
    messages = carried((record.get("fields") or record).get(CHAT))
    for one in answered:
        yield from labelled(record.get("external_id") or record.get("id"), one.value, one.annotator, one.at, messages)


def _responses(record: Any) -> list[_Response]:
    """Responses to our question: of a flattened record, of the server's, or of the nested form."""
    if QUESTION + ".responses" in record:
        values, users, states = (record.get(f"{QUESTION}.responses{name}") or [] for name in ("", ".users", ".status"))
        return [_Response(*one) for one in zip_longest(values, users, states)]
    found = record.get("responses") or {}
    if isinstance(found, list):
        return [
            _Response(one["values"][QUESTION]["value"], one.get("user_id"), one["status"], one.get("updated_at"))
            for one in found
            if QUESTION in (one.get("values") or {})
        ]
    return [_Response(one.get("value"), one.get("user_id"), one.get("status"), one.get("updated_at")) for one in found.get(QUESTION) or []]


_NO_STATUS = (
    "nothing says whether its responses were submitted, are drafts or were discarded: "
    "export with `json.dump(dataset.records.to_list(flatten=True), file)`"
)
