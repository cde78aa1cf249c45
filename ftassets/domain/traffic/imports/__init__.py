"""Logs of other systems, line by line, as exchanges of the traffic log."""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from ftassets.domain.dataset.rows import Quarantined, reason_of
from ftassets.domain.json_items import numbered_items
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports import chat_jsonl, langfuse, litellm, otel_genai
from ftassets.errors import InvalidInput

MAX_LINE = 16 * 2**20  # bytes; an OTLP line holds a batch of spans
TRIED = 1000  # lines of a log that say which format fits
BAD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # what a parser meets in a record of another shape

Place = str  # `line N`, or `line N, record M` where a line holds several
Items = Iterator[tuple[Place, Any]]


class Format(NamedTuple):
    """How the records of a log are found in a line, joined where one call is several of them, and read."""

    records: Callable[[Any], Iterator[Any]]
    parse: Callable[[Any], Exchange]
    joined: Callable[[Items], Items] = iter


FORMATS = {
    "chat": Format(chat_jsonl.records, chat_jsonl.parse),
    "otel": Format(otel_genai.records, otel_genai.parse, otel_genai.joined),
    "langfuse": Format(langfuse.records, langfuse.parse),
    "litellm": Format(litellm.records, litellm.parse),
}


def read(
    lines: Iterable[bytes], format: str, loop: str, version: str | None = None, at: float | None = None
) -> Iterator[Exchange | Quarantined]:
    """Exchanges of a log, and its invalid records; `Quarantined.where` is `line N`, or `line N, record M` where a line holds several.

    The log is JSON lines, a JSON array or a single document. `version` is the answering version of every row; default: the model that
    the source names. `at` (epoch seconds) is the time of rows without a time; without `at` they are quarantined. Reading the same file
    twice gives the same ids. Rows of one version have the exposure probability 1. Raises InvalidInput for an unknown format and a damaged
    array.
    """
    if format not in FORMATS:
        raise InvalidInput(f"there is no log format {format!r}; there is: {', '.join(FORMATS)}")
    of = FORMATS[format]
    contents: dict[str, bytes] = {}  # by id: a second record with another content would be taken for the first
    for place, record in of.joined(_located(lines, of.records)):
        if isinstance(record, Quarantined):
            yield record
            continue
        try:
            exchange = _complete(of.parse(record), loop, version, at)
            content = hashlib.sha256(f"{exchange.messages}\0{exchange.answer}".encode()).digest()[:8]
            if contents.setdefault(exchange.id, content) != content:
                raise ValueError(f"an earlier record has the same id {exchange.id!r} and another content")
            yield exchange
        except BAD as error:
            text = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace").decode()
            yield Quarantined(place, _reason(error), text[:500])


def fitting(lines: Iterable[bytes], version: str = "any") -> list[str]:
    """The formats in which the first lines of a log have an exchange."""
    first = list(islice(lines, TRIED))
    return [name for name in FORMATS if any(isinstance(found, Exchange) for found in read(first, name, "any", version, at=0.0))]


def _located(lines: Iterable[bytes], records: Callable[[Any], Iterator[Any]]) -> Items:
    """The records of each line with their place; a line that is not JSON is quarantined."""
    last, position = 0, 0
    for number, line in numbered_items(lines):
        before = position if number == last else 0  # several members of an array may begin on one line
        last = number
        try:
            found = list(records(_decoded(line)))
        except BAD as error:
            yield f"line {number}", Quarantined(f"line {number}", _reason(error), line[:500].decode("utf-8", "replace"))
            continue
        for position, record in enumerate(found, start=before + 1):
            yield (f"line {number}" if len(found) == 1 and position == 1 else f"line {number}, record {position}"), record


def _decoded(line: bytes) -> Any:
    if len(line) > MAX_LINE:
        raise ValueError(f"longer than {MAX_LINE} bytes")
    return json.loads(line.decode())


def _complete(exchange: Exchange, loop: str, version: str | None, at: float | None) -> Exchange:
    if math.isnan(exchange.at):
        if at is None:
            raise ValueError("it has no time")
        exchange = replace(exchange, at=at)
    exchange.messages.encode()  # half a surrogate pair, which no database takes
    exchange.answer.encode()
    if "\0" in exchange.prompt + exchange.answer:
        raise ValueError("a text has a NUL character, which databases do not take")
    return replace(exchange, loop=loop, version=version or exchange.version)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return reason_of(error) if isinstance(error, ValueError) else f"in another form than this format's: {error}"
