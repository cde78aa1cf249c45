"""Labelling batches as Argilla's records: what `dataset.records.to_json` writes and `from_json` reads.

The Argilla dataset needs a text field `prompt` (the last message), a chat field `conversation` (all messages, and the tools if there
are some), a text question `completion`, and the metadata `version` and `why` (terms).
The model's answer is the suggestion.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ftassets.domain.dataset.labelling.fields import Parsed, carried, collect, json_list, shown, to_label
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.labelling.select import Item

FIELD, CHAT, QUESTION = "prompt", "conversation", "completion"


def to_text(items: Sequence[Item]) -> str:
    """A JSON list of records; the request id is the record's id."""
    records = [
        {
            "id": item.request_id,
            "fields": {FIELD: item.asked.last_text, CHAT: shown(item.asked)},
            "metadata": {"version": item.version, "why": item.why},
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


def _labels(record: Any) -> Iterator[Label]:
    responses = (record.get("responses") or {}).get(QUESTION) or []
    # the SDK's export has only what was submitted; the server's own has the status too
    answered = [one for one in responses if one.get("value") and one.get("status", "submitted") == "submitted"]
    if not answered:
        raise ValueError("no annotator answered it")
    messages = carried((record.get("fields") or {}).get(CHAT))
    for one in answered:
        yield to_label(record.get("id"), one["value"], one.get("user_id"), one.get("updated_at"), messages)
