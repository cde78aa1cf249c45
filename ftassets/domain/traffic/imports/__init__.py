"""Logs of other systems, line by line, as exchanges of the traffic log."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib import import_module
from itertools import islice
from typing import Any, NamedTuple

from ftassets.domain.canonical import digest_of, read_record
from ftassets.domain.dataset.rows import Quarantined
from ftassets.domain.file_formats import TRAFFIC
from ftassets.domain.json_items import DamagedArray, numbered_items
from ftassets.domain.traffic.exchange import Exchange
from ftassets.domain.traffic.feedback import Feedback
from ftassets.domain.traffic.imports.fields import Assessment, Call, Imported, PersonFeedback
from ftassets.errors import InvalidInput, reason_of

MAX_LINE = 16 * 2**20  # bytes; an OTLP line holds a batch of spans
TRIED = 1000  # values of a log that say which format fits
EARLIEST = 946_684_800.0  # 2000-01-01: there were no chat models, the clock or the unit is wrong
AHEAD = 300.0  # seconds by which another clock may be ahead
LONGEST = 86_400_000.0  # milliseconds: no answer takes a day, the unit is wrong
_NUL = "a text has a NUL character, which databases do not take"
SAME_TIME = 1.0  # seconds within which two exports mean the same moment
BAD = (ValueError, TypeError, AttributeError, LookupError, RecursionError)  # what a parser meets in a record of another shape

Place = str  # `line N`, or `line N, record M` where a line holds several
Items = Iterator[tuple[Place, Any]]


class Format(NamedTuple):
    """How the records of a log are found in a line, joined where one call is several of them, and read."""

    records: Callable[[Any], Iterator[Any]]
    parse: Callable[[Any], Imported | Assessment]
    joined: Callable[[Items], Items] = iter


@dataclass(frozen=True)
class Row:
    """A row of a log: the exchange, whether its answer was cut, the feedback of people, and whether the log says when it was.

    `names` and `left_out` as in `Imported`.
    """

    exchange: Exchange
    cut: bool
    feedback: Feedback | None
    timed: bool
    names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def renamed(self) -> "Row":
        """The row under an id that its content gives: another exchange has its id, such as an earlier turn of the conversation."""
        exchange = self.exchange
        content = [exchange.loop, exchange.messages, exchange.answer, *([round(exchange.at)] if self.timed else [])]
        name = f"{exchange.id}:{digest_of(content)[:16]}"
        return replace(
            self,
            exchange=replace(exchange, id=name),
            feedback=self.feedback and replace(self.feedback, request_id=name),
        )

    def differs(self, other: Exchange) -> bool:
        """Whether an exchange with this id is another one: of another loop, with other texts, or of another time if the log says one."""
        mine = self.exchange
        moved = self.timed and abs(mine.at - other.at) > SAME_TIME
        return moved or (mine.loop, mine.messages, mine.answer) != (other.loop, other.messages, other.answer)


@dataclass(frozen=True)
class Assessed:
    """Feedback of a person on an answer that is elsewhere, which one of `about` names, see `Assessment`; None for others' words."""

    place: str
    about: tuple[str, ...]
    feedback: PersonFeedback | None
    left_out: tuple[str, ...] = ()

    @property
    def comments_only(self) -> bool:
        """Whether it judges nothing: it then belongs to a thumb or a correction, as at the gateway."""
        return self.feedback is not None and self.feedback.rating is None and self.feedback.correction is None

    def on(self, answer: Exchange) -> Feedback:
        """The feedback on this answer; without a time of its own it has that of the answer."""
        said = self.feedback or PersonFeedback()
        return _feedback(answer, said, str(said.correction) if said.correction else None)


def _feedback(on: Exchange, said: PersonFeedback, correction: str | None) -> Feedback:
    """Feedback without a time of its own has that of the answer's end."""
    at = on.at + on.latency_ms / 1000 if said.at is None else said.at
    return Feedback(on.id, at, said.rating, correction, said.comment, said.tags)


def joins(name: str) -> bool:
    """Whether one call may be several records of this format, which may lie in several files."""
    return reader(name).joined is not iter


def reader(name: str) -> Format:
    """The reader of a format. Raises InvalidInput for an unknown one."""
    if name not in TRAFFIC:
        raise InvalidInput(f"there is no log format {name!r}; there is: {', '.join(TRAFFIC)}")
    module = import_module(TRAFFIC[name].reader)
    return Format(module.records, module.parse, getattr(module, "joined", iter))


def read(
    lines: Iterable[bytes],
    format: str,
    loop: str,
    version: str | None = None,
    at: float | None = None,
    now: float = math.inf,
    call_field: str | None = None,
) -> Iterator[Row | Assessed | Quarantined]:
    """Rows of a log, feedback on answers in other records, and what can be neither.

    `Quarantined.where` is `line N`, or `line N, record M` where a line holds several.

    The log is JSON lines, a JSON array or documents one after the other. `version` is the answering version of every row; default: the
    model that the source names. `at` (epoch seconds) is the time of rows without a time; without `at` they are quarantined, as are rows
    from before 2000 and from after `now`, `at` included. An answer that calls a tool becomes a JSON object with the tool's name in
    `call_field`, and refuses its row without one. Reading the same file twice gives the same ids. Rows of one version have the exposure
    probability 1. Raises InvalidInput for an unknown format and an array that is too large.
    """
    yield from rows_of(placed(lines, format), format, loop, version, at, now, call_field)


def placed(lines: Iterable[bytes], format: str) -> Items:
    """The records of a log, or what could not be read as one, each with its place. Raises as `read`."""
    return _located(lines, reader(format).records)


def rows_of(
    items: Items,
    format: str,
    loop: str,
    version: str | None = None,
    at: float | None = None,
    now: float = math.inf,
    call_field: str | None = None,
) -> Iterator[Row | Assessed | Quarantined]:
    """As `read`, of the records of one log or of several, which are joined where one call is several records."""
    of = reader(format)
    for place, record in of.joined(items):
        if isinstance(record, Quarantined):
            yield record
            continue
        try:
            found = of.parse(record)
            if isinstance(found, Assessment):
                yield Assessed(place, found.about, _usable(found.feedback, now), found.left_out)
            else:
                yield _complete(found, loop, version, at, now, call_field)
        except BAD as error:
            text = json.dumps(record, ensure_ascii=False, default=str).encode("utf-8", "replace").decode()
            yield Quarantined(place, _reason(error), text[:500])


def fitting(lines: Iterable[bytes], version: str = "any") -> list[str]:
    """The formats in which the first values of a log have rows, first the one whose rows carry the most: feedback, users, tokens."""
    head = []
    with suppress(InvalidInput):  # an array that is too large
        head = [line for _, line in islice(numbered_items(lines), TRIED) if isinstance(line, bytes)]
    counts = {
        name: sum(_carried(found) for found in islice(_tried(head, name, version), TRIED) if not isinstance(found, Quarantined))
        for name in TRAFFIC
    }
    return [name for name, count in Counter(counts).most_common() if count]


def _carried(row: Row | Assessed) -> int:
    """What is known of a row: that it is there, and each field that a log may lack."""
    if isinstance(row, Assessed):
        return 1 + bool(row.feedback)
    exchange = row.exchange
    return 1 + sum(map(bool, (row.feedback, exchange.user, row.timed, exchange.latency_ms, exchange.tokens_in, exchange.tokens_out)))


def _tried(head: Sequence[bytes], name: str, version: str) -> Iterator[Row | Assessed | Quarantined]:
    with suppress(InvalidInput):  # a value that is an array again
        yield from read(head, name, "any", version, at=EARLIEST, call_field="")


def _located(lines: Iterable[bytes], records: Callable[[Any], Iterator[Any]]) -> Items:
    """The records of each line with their place; a line that is not JSON is quarantined."""
    last, position = 0, 0
    for number, line in numbered_items(lines):
        before = position if number == last else 0  # several members of an array may begin on one line
        last = number
        if isinstance(line, DamagedArray):
            yield f"line {number}", Quarantined(f"line {number}", str(line), line.content[:500].decode("utf-8", "replace"))
            continue
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
    return read_record(line.decode())


def _complete(found: Imported, loop: str, version: str | None, at: float | None, now: float, call_field: str | None) -> Row:
    exchange, given = found.exchange, _usable(found.feedback, now)
    if exchange.latency_ms > LONGEST:
        raise ValueError(f"the duration {exchange.latency_ms:.0f} ms cannot be right: it is more than a day")
    if found.call:
        exchange = replace(exchange, answer=found.call.text(call_field))
    correction = given.correction if given else None
    if isinstance(correction, Call):
        correction = correction.text(call_field)
    if math.isnan(exchange.at):
        if at is None:
            raise ValueError("it has no time")
        exchange = replace(exchange, at=at)
    if exchange.at < EARLIEST or exchange.at + exchange.latency_ms / 1000 > now + AHEAD:
        whose = "time" if found.timed else "time of the file, which stands for that of a row without one,"
        raise ValueError(f"the {whose} {_day(exchange.at)} cannot be right: it is before 2000 or in the future")
    exchange.messages.encode()  # half a surrogate pair, which no database takes
    exchange.answer.encode()
    if "\0" in exchange.prompt + exchange.answer:
        raise ValueError(_NUL)
    exchange = replace(exchange, loop=loop, version=version or exchange.version)
    feedback = _feedback(exchange, given, correction) if given else None
    return Row(exchange, found.cut, feedback, found.timed, found.names, found.left_out)


def _usable(said: PersonFeedback | None, now: float) -> PersonFeedback | None:
    """The feedback as it is. Raises ValueError for a time that cannot be right and a text that cannot be stored."""
    if said is None:
        return None
    if said.at is not None and not EARLIEST <= said.at <= now + AHEAD:
        raise ValueError(f"the time of the feedback {_day(said.at)} cannot be right: it is before 2000 or in the future")
    for text in (said.correction, said.comment, said.tags):
        if isinstance(text, str):
            text.encode()  # half a surrogate pair, which no database takes
            if "\0" in text:
                raise ValueError(_NUL)
    return said


def _day(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
    except (ValueError, OverflowError, OSError):
        return f"{at:.0f} s"


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeEncodeError):
        return "a text holds half of a surrogate pair, which is not UTF-8"
    return reason_of(error) if isinstance(error, ValueError) else "in another form than this format's"
