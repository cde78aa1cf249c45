"""Rows of examples: what a JSONL line must look like, and what happens to one that does not."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftassets.domain.canonical import digest_of


class Example(BaseModel):
    """One request and the answer it should get."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    prompt: str = Field(min_length=1, max_length=20_000)
    completion: str = Field(min_length=1, max_length=20_000)
    slice: str | None = None
    group: str | None = Field(None, description="Rows of one group never straddle a split, for example one sentence template.")
    source: str = "seed"
    user: str | None = None
    request_id: str | None = None
    version: str | None = None
    at: float | None = None


@dataclass(frozen=True)
class Quarantined:
    """A line or row that was not taken, and why."""

    where: str
    reason: str
    content: str


def parse_jsonl(text: str, source: str) -> tuple[list[Example], list[Quarantined]]:
    """Examples of a JSONL text of `{"messages": [...]}` lines, and the lines that are none.

    A line has messages of role system, user or assistant, the last one the assistant's, the one before the user's;
    optional `id`, `slice`, `group`. Blank lines are skipped. The id defaults to a digest of prompt and completion.
    """
    examples: list[Example] = []
    bad: list[Quarantined] = []
    # not splitlines(): a JSON string may hold U+2028 and its like as they are
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            examples.append(_example(json.loads(line), source))
        except (ValueError, TypeError, KeyError, RecursionError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            bad.append(Quarantined(f"{source}:{number}", reason, line[:500]))
    return examples, bad


def _example(row: Any, source: str) -> Example:
    if not isinstance(row, dict) or not isinstance(row.get("messages"), list):
        raise ValueError('not an object with a "messages" list')
    messages = row["messages"]
    if len(messages) < 2:
        raise ValueError("fewer than 2 messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
            raise ValueError("a message whose role is not system, user or assistant")
        if not isinstance(message.get("content"), str) or not message["content"].strip():
            raise ValueError("a message without text")
    if [m["role"] for m in messages[-2:]] != ["user", "assistant"]:
        raise ValueError("the last two messages are not the user's and the assistant's")
    prompt, completion = messages[-2]["content"], messages[-1]["content"]
    return Example(
        id=str(row.get("id") or digest_of([prompt, completion])[:16]),
        prompt=prompt,
        completion=completion,
        slice=row.get("slice"),
        group=row.get("group"),
        source=source,
    )


def to_jsonl(rows: Iterable[BaseModel]) -> str:
    """One JSON object a line, keys as declared, without the fields that are not set."""
    return "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows)
