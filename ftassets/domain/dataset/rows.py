"""Rows of examples: what a JSONL line must look like, and what happens to one that does not."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ftassets.domain.canonical import digest_of

MAX_LINE = 1_000_000  # bytes
_SHOWN = 500  # characters of a quarantined line


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
    `{"messages": [...]}`: an optional system message, the user's, the assistant's;
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
    prompt, completion = _turns(row["messages"]) if "messages" in row else _instruction(row)
    name = row.get("id") or digest_of([prompt, completion])[:16]
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("an id that is neither a string nor a number")
    return Example(
        id=str(name),
        prompt=prompt,
        completion=completion,
        slice=row.get("slice"),
        group=row.get("group"),
        source=source,
        quality=_quality(row),
    )


def _turns(messages: Any) -> tuple[str, str]:
    if not isinstance(messages, list):
        raise ValueError('"messages" is not a list')
    if len(messages) < 2:
        raise ValueError("fewer than 2 messages")
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ("system", "user", "assistant"):
            raise ValueError("a message whose role is not system, user or assistant")
        _text(message.get("content"), "a message without text")
    if [m["role"] for m in messages[-2:]] != ["user", "assistant"]:
        raise ValueError("the last two messages are not the user's and the assistant's")
    if [m["role"] for m in messages[:-2]] not in ([], ["system"]):
        raise ValueError(
            "earlier turns before the last question: training would lose them, write them into the question or leave the row out"
        )
    return messages[-2]["content"], messages[-1]["content"]


def _instruction(row: dict[str, Any]) -> tuple[str, str]:
    instruction = _text(row["instruction"], "an instruction without text")
    if row.get("input") not in (None, ""):
        instruction += "\n\n" + _text(row["input"], "an input that is not text")
    return instruction, _text(row.get("response"), "an instruction without a response")


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
