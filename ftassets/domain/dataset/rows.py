"""Rows of examples: what a JSONL line must look like, and what happens to one that does not."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from io import BytesIO
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from ftassets.domain.canonical import digest_of, is_text, read_record
from ftassets.domain.chat import Asked, conversation, identity, tools_text
from ftassets.domain.dataset.row_shapes import turns_of, unread_fields
from ftassets.domain.json_items import DamagedArray, numbered_items
from ftassets.errors import reason_of
from ftassets.wording import amount

M = TypeVar("M", bound=BaseModel)

MAX_LINE = 1_000_000  # bytes
CONVERSATION = "conversation:"  # what the name of a group begins with that is a conversation
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
    """A line or row that was not taken, and why; half of a surrogate pair becomes a question mark, so that any of them can be stored."""

    where: str
    reason: str
    content: str

    def __post_init__(self) -> None:
        for field in fields(self):
            if not is_text(value := getattr(self, field.name)):
                object.__setattr__(self, field.name, value.encode("utf-8", "replace").decode())


def parse_jsonl(text: str, source: str) -> tuple[list[Example], list[Quarantined]]:
    """Examples of a JSONL text, and its invalid lines; see `read_jsonl`."""
    return apart(read_jsonl(lines_of_text(text), source))


def lines_of_text(text: str) -> BytesIO:
    """The lines of a text as bytes: text has other ends of lines too, such as U+2028, which a JSON string may hold as they are."""
    return BytesIO(text.encode(errors="surrogatepass"))


def apart(items: Iterable[Example | Quarantined]) -> tuple[list[Example], list[Quarantined]]:
    """The examples, and what was not taken."""
    examples: list[Example] = []
    bad: list[Quarantined] = []
    for item in items:
        if isinstance(item, Example):
            examples.append(item)
        else:
            bad.append(item)
    return examples, bad


def read_jsonl(lines: Iterable[bytes], source: str) -> Iterator[Example | Quarantined]:
    """The examples and the quarantined lines of `numbered_jsonl`."""
    return (item for _, item in numbered_jsonl(lines, source))


def numbered_jsonl(
    lines: Iterable[bytes], source: str, whole: bool = False, unread: Counter[str] | None = None
) -> Iterator[tuple[int, Example | Quarantined]]:
    """Number of each line, from 1, with its example, or the line quarantined with the reason; blank lines are skipped.

    The rows may be the members of a JSON array too; where it is damaged, that part is quarantined; with `whole` DamagedArray is raised.
    A line is UTF-8 of at most `MAX_LINE` bytes, and a conversation in one of the shapes of `row_shapes`; its last message is the
    assistant's answer, which is what the row teaches.
    It may have `id`, `slice`, `group` and `quality_score` (or `metadata.quality_score`) in 0..1. The id defaults to a digest of
    request and answer. `unread` gets the number of rows for each field with a number or a flag that nothing reads.
    """
    last, member = 0, 0
    for number, line in numbered_items(lines):
        member = member + 1 if number == last else 1  # members of an array may share a line
        last = number
        if isinstance(line, DamagedArray):
            if whole:
                raise line
            yield number, Quarantined(f"{source}:{number}", str(line), shown(line.content.decode(errors="replace")))
            continue
        line = line.rstrip(b"\r\n")
        try:
            if len(line) > MAX_LINE:
                raise ValueError(f"{amount(len(line), 'byte')}, a line may have {MAX_LINE:,}")
            text = line.decode()
            if not text.strip():
                continue
            row = read_record(text)
            example = _example(row, source)
            if unread is not None:
                unread.update(unread_fields(row))
            yield number, example
        except ValueError as error:
            reason = reason_of(error) if member == 1 else f"member {member}: {reason_of(error)}"
            yield number, Quarantined(f"{source}:{number}", reason, shown(line[: 8 * _SHOWN].decode(errors="replace")))


def left_out(bad: Sequence[Quarantined], of: str) -> str:
    """How many rows of a stored set cannot be used, with the first of them, in words."""
    counted = amount(len(bad), "row")
    return f"left out: {counted} of {of} that cannot be used, the first is {bad[0].where} ({bad[0].reason})"


def shown(text: str) -> str:
    """The beginning of a text for people, at most 500 characters; it ends before personal data that the cut would make unrecognisable."""
    if len(text) <= _SHOWN:
        return text
    from ftassets.domain.personal_data.finding import find  # compiles many patterns

    cut = (span.start for span in find(text[: 4 * _SHOWN]) if span.start < _SHOWN < span.end)
    return text[: next(cut, _SHOWN)]


def _example(row: Any, source: str) -> Example:
    turns = turns_of(row)
    if source == "seed" and (part := row.get("split")) is not None and str(part).lower() not in ("train", "training"):
        raise ValueError(f"the field 'split' says {str(part)[:30]!r}: a row that is not for training belongs into the golden set or a set")
    messages = conversation(turns.messages)
    if len(messages) < 2:
        raise ValueError("fewer than 2 messages")
    *before, answer = messages
    if answer.role != "assistant":
        raise ValueError("the last message is not the assistant's")
    if answer.content is None:
        raise ValueError("the answer is a call of tools, not text: write the answer as text")
    weight = turns.messages[-1].get("weight")
    if weight not in (None, 0, 1):
        raise ValueError(f"the field 'weight' of the last answer is {str(weight)[:20]}: it can be 0 or 1")
    if weight == 0:
        raise ValueError("the last answer has weight 0: it is the one this row would teach")
    asked = Asked(messages=tuple(before), tools=tools_text(turns.tools))
    name = row.get("id") or digest_of([identity(asked), answer.content])[:16]
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise ValueError("an id that is neither a string nor a whole number")
    return Example(
        id=str(name),
        messages=asked.messages,
        tools=asked.tools,
        completion=answer.content,
        slice=row.get("slice"),
        group=_group(row),
        source=source,
        quality=_quality(row),
    )


def _group(row: Any) -> Any:
    """The row's group; without one its conversation, if the file names it."""
    named = row.get("conversation_id")
    known = row.get("group") is None and isinstance(named, str | int) and not isinstance(named, bool) and named != ""
    return f"{CONVERSATION}{named}" if known else row.get("group")


def _quality(row: dict[str, Any]) -> float | None:
    metadata = row.get("metadata")
    score = row.get("quality_score", metadata.get("quality_score") if isinstance(metadata, dict) else None)
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1):
        raise ValueError(f"a quality_score that is not a number in 0..1: {str(score)[:50]!a}")
    return score


def from_jsonl(model: type[M], text: str) -> list[M]:
    """The models of such a text. Raises ValueError."""
    return [model.model_validate_json(line) for line in text.split("\n") if line.strip()]


def to_jsonl(rows: Iterable[BaseModel]) -> str:
    """One JSON object a line, keys as declared, without the fields that are not set."""
    return "".join(row.model_dump_json(exclude_none=True) + "\n" for row in rows)
