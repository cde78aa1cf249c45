"""Logs of other systems, line by line, as exchanges of the traffic log."""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.imports import chat_jsonl, langfuse, litellm, otel_genai
from ftassets.errors import InvalidInput

MAX_LINE = 16 * 2**20  # bytes; an OTLP line holds a batch of spans
_BAD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # what a parser meets in a record of another shape

FORMATS: dict[str, tuple[Callable[[Any], Iterator[Any]], Callable[[Any], Exchange]]] = {
    "chat": (chat_jsonl.records, chat_jsonl.parse),
    "otel": (otel_genai.records, otel_genai.parse),
    "langfuse": (langfuse.records, langfuse.parse),
    "litellm": (litellm.records, litellm.parse),
}


def read(
    lines: Iterable[bytes], format: str, loop: str, version: str | None = None, at: float | None = None
) -> Iterator[Exchange | Quarantined]:
    """Exchanges of a log, and its invalid records; `Quarantined.where` is `line N`, or `line N, record M` where a line holds several.

    `version` is the answering version of every row; default: the model that the source names. `at` (epoch seconds) is the time of
    rows without a time; without `at` they are quarantined. Reading the same file twice gives the same ids. Rows of one version have
    the exposure probability 1. Raises ValueError for an unknown format.
    """
    if format not in FORMATS:
        raise InvalidInput(f"there is no log format {format!r}; there is: {', '.join(FORMATS)}")
    records, parse = FORMATS[format]
    for number, line in enumerate(lines, start=1):
        where = f"line {number}"
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            continue
        try:
            found = list(records(_decoded(line)))
        except _BAD as error:
            yield Quarantined(where, _reason(error), line[:500].decode("utf-8", "replace"))
            continue
        for position, record in enumerate(found, start=1):
            place = where if len(found) == 1 else f"{where}, record {position}"
            try:
                yield _complete(parse(record), loop, version, at)
            except _BAD as error:
                content = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace").decode()
                yield Quarantined(place, _reason(error), content[:500])


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
    return replace(exchange, loop=loop, version=version or exchange.version)


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error}"
    return str(error) if isinstance(error, ValueError) else f"in another form than this format's: {error}"
