"""Rows of examples: what a JSONL line must look like, and what happens to one that does not."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked, conversation, identity, question, tools_text

MAX_LINE = 1_000_000  # bytes
_SHOWN = 500  # characters of a quarantined line


class Example(Asked):
    """One conversation and the answer it should get."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    completion: str = Field(min_length=1, max_length=20_000)
    slice: str | None = None
    group: str | None = Field(None, description="Rows of one group never straddle a split, for example one sentence template.")
    source: str = "seed"
    user: str | None = None
    request_id: str | None = None
    version: str | None = None
    at: float | None = None
    quality: float | None = Field(None, ge=0, le=1, allow_inf_nan=False, description="Score in 0..1 from a reward model or a reviewer.")


@dataclass(frozen=True)
class Quarantined:
    """A line or row that was not taken, and why."""

    where: str
    reason: str
    content: str


def parse_jsonl(text: str, source: str) -> tuple[list[Example], list[Quarantined]]:
    """Examples of a JSONL text, and its invalid lines; see `read_jsonl`."""
    examples: list[Example] = []
    bad: list[Quarantined] = []
    # not splitlines(): a JSON string may hold U+2028 and its like as they are
    for item in read_jsonl((line.encode(errors="surrogatepass") for line in text.split("\n")), source):
        if isinstance(item, Example):
            examples.append(item)
        else:
            bad.append(item)
    return examples, bad


def read_jsonl(lines: Iterable[bytes], source: str) -> Iterator[Example | Quarantined]:
    """The examples and the quarantined lines of `numbered_jsonl`."""
    return (item for _, item in numbered_jsonl(lines, source))


def numbered_jsonl(lines: Iterable[bytes], source: str) -> Iterator[tuple[int, Example | Quarantined]]:
    """Number of each line, from 1, with its example, or the line quarantined with the reason; blank lines are skipped.

    A line is UTF-8 (the first may begin with a BOM) of at most `MAX_LINE` bytes, and one of
    `{"messages": [...]}`: a conversation whose last message is the assistant's answer, which is what the row teaches; `tools`, where
    given, are those the assistant may call;
    `{"instruction": ..., "response": ...}`: `input`, where given, follows the instruction after a blank line.
    Both may have `id`, `slice`, `group` and `quality_score` (or `metadata.quality_score`) in 0..1. The id defaults to a digest of
    request and answer.
    """
    for number, line in enumerate(lines, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        line = line.rstrip(b"\r\n")
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"{len(line):,} bytes, a line may have {MAX_LINE:,}")
            text = line.decode()
            if not text.strip():
                continue
            yield number, _example(json.loads(text), source)
        except (ValueError, RecursionError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            yield number, Quarantined(f"{source}:{number}", reason, line[: 4 * _SHOWN].decode(errors="replace")[:_SHOWN])


def _example(row: Any, source: str) -> Example:
    if not isinstance(row, dict) or ("messages" in row) == ("instruction" in row):
        raise ValueError('not an object with either "messages" or "instruction" and "response"')
    asked, completion = _turns(row) if "messages" in row else _instruction(row)
    name = row.get("id") or digest_of([identity(asked), completion])[:16]
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("an id that is neither a string nor a number")
    return Example(
        id=str(name),
        messages=asked.messages,
        tools=asked.tools,
        completion=completion,
        slice=row.get("slice"),
        group=row.get("group"),
        source=source,
        quality=_quality(row),
    )


def _turns(row: dict[str, Any]) -> tuple[Asked, str]:
    messages = conversation(row["messages"])
    if len(messages) < 2:
        raise ValueError("fewer than 2 messages")
    *before, answer = messages
    if answer.role != "assistant":
        raise ValueError("the last message is not the assistant's")
    if answer.content is None:
        raise ValueError("the answer is a call of tools, not text: write the answer as text")
    if row["messages"][-1].get("weight") == 0:
        raise ValueError("the last answer has weight 0: it is the one this row would teach")
    return Asked(messages=tuple(before), tools=tools_text(row.get("tools"))), answer.content


def _instruction(row: dict[str, Any]) -> tuple[Asked, str]:
    instruction = _text(row["instruction"], "an instruction without text")
    if row.get("input") not in (None, ""):
        instruction += "\n\n" + _text(row["input"], "an input that is not text")
    return Asked(messages=question(instruction)), _text(row.get("response"), "an instruction without a response")


def _text(value: Any, problem: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(problem)
    return value


def _quality(row: dict[str, Any]) -> float | None:
    metadata = row.get("metadata")
    score = row.get("quality_score", metadata.get("quality_score") if isinstance(metadata, dict) else None)
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
        raise ValueError(f"a quality_score that is not a number in 0..1: {str(score)[:50]!a}")
    return score


def to_jsonl(rows: Iterable[BaseModel]) -> str:
    """One JSON object a line, keys as declared, without the fields that are not set."""
    return "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows)
