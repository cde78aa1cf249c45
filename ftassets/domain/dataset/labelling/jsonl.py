"""Labelling batches as JSON lines: fill in `completion` and, if you like, `annotator` and `at`; `answer` is the model's answer.

`prompt` is the last message, `transcript` the conversation up to it, `messages` and `tools` the same in OpenAI's form.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from ftassets.domain.canonical import read_record
from ftassets.domain.chat import openai_messages
from ftassets.domain.dataset.labelling.fields import Parsed, collect, labelled
from ftassets.domain.dataset.labelling.label import Label
from ftassets.domain.dataset.labelling.select import Item
from ftassets.domain.dataset.rows import Quarantined
from ftassets.errors import reason_of


def to_text(items: Sequence[Item], batch: str) -> str:
    """One line per request, `completion` still empty."""
    return "".join(
        json.dumps(
            {
                "request_id": item.request_id,
                "prompt": item.asked.last_text,
                "transcript": item.asked.prompt,
                "answer": item.answer,
                "why": item.why,
                **({"comment": item.comment} if item.comment else {}),
                "batch": batch,
                "completion": "",
                "annotator": "",
                "messages": openai_messages(item.asked.messages),
                **({"tools": json.loads(item.asked.tools)} if item.asked.tools else {}),
            },
            ensure_ascii=False,
        )
        + "\n"
        for item in items
    )


def parse(text: str) -> Parsed:
    """Labels of the lines that were filled in, and the other lines with the reason."""
    records: list[tuple[str, Any]] = []
    bad: list[Quarantined] = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            try:
                records.append((f"line {number}", read_record(line)))
            except (ValueError, RecursionError) as error:
                bad.append(
                    Quarantined(f"line {number}", "nested too deep" if isinstance(error, RecursionError) else reason_of(error), line[:500])
                )
    labels, more = collect(records, _labels)
    return labels, bad + more


_READ = {"request_id", "completion", "annotator", "at", "messages", "tools"}
_NOTES = {"prompt", "transcript", "answer", "why", "batch", "comment", "metadata"}  # what the export tells annotators, and what they note


def _labels(row: Any) -> Iterator[Label | ValueError]:
    if lost := sorted(str(name) for name in row.keys() - _READ - _NOTES if row[name]):
        raise ValueError(f'the field {lost[0]!r} cannot be used: leave it out, or write it into "metadata" if it is a note')
    asked = row.get("messages"), row.get("tools")
    yield from labelled(row.get("request_id"), row.get("completion"), row.get("annotator"), row.get("at"), *asked)
