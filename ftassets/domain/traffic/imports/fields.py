"""What the formats of imported logs have in common: times, users, answers, and the exchange they add up to."""

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

from ftassets.domain.canonical import digest_of
from ftassets.domain.chat import Asked, openai_messages
from ftassets.domain.dataset.row_shapes import holds_text
from ftassets.domain.file_formats import TRAFFIC
from ftassets.domain.personal_data.finding import find
from ftassets.domain.personal_data.texts import scrubbed_text
from ftassets.domain.traffic.exchange import Exchange, hashed_user, stored_request

_CLF = "%d/%b/%Y:%H:%M:%S %z"  # of web servers' access logs
_ERROR = re.compile(r"(?:status [0-9]{3}|[A-Za-z_][\w.]{0,79})(?=\s*(?::|\Z))")  # a code, or the name of an error before its words
_HIDDEN = ("__REDACTED__", "redacted-by-litellm", "<fully masked due to failed mask function>")  # by OpenInference, LiteLLM and Langfuse
_CUT = re.compile(r"\(litellm_truncated skipped \d+ chars[^)]*\)")
_MOST = 1_000_000_000  # tokens of a call
_NUMBER = re.compile(r"(?<![^._])\d+(?![^._])")  # a whole part of a dotted name
_Read = TypeVar("_Read")
_EPOCH_UNITS = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))  # from this value on, so many to a second: 1e11 s is the year 5138


REQUEST = {  # fields of a request to a model: what it asks, which is read, and settings
    "contents", "frequency_penalty", "function_call", "functions", "generationConfig", "generation_config", "input", "instructions",
    "logit_bias", "logprobs", "max_completion_tokens", "max_tokens", "messages", "metadata", "modalities", "model", "n", "options",
    "parallel_tool_calls", "presence_penalty", "prompt", "prompt_cache_key", "reasoning", "reasoning_effort", "response_format",
    "safety_identifier", "seed", "service_tier", "stop", "stop_sequences", "store", "stream", "stream_options", "system",
    "system_instruction", "temperature", "text", "thinking", "tool_choice", "tools", "top_k", "top_p", "truncation", "user", "verbosity",
}  # fmt: skip


@dataclass(frozen=True)
class Timing:
    """When a request began (epoch seconds) and how long its answer took (milliseconds); None where the source does not say."""

    at: float | None
    latency_ms: float | None = None
    first_token_ms: float | None = None


class Call(NamedTuple):
    """An answer that is the call of a tool."""

    name: str
    arguments: Mapping[str, Any]

    def text(self, field: str | None) -> str:
        """The call as the JSON object that a loop of tool calls expects: the tool's name in `field`, and its arguments.

        Raises ValueError without a field, and if an argument has the name of the field.
        """
        if field is None:
            raise ValueError(f"the answer calls the tool {self.name!r}: only loops with `task.type: tool_call` take that")
        if field in self.arguments:
            raise ValueError(f"the answer calls the tool {self.name!r} with an argument {field!r}, the name of task.label: rename one")
        return json.dumps({field: self.name, **self.arguments}, ensure_ascii=False)


class Answer(NamedTuple):
    """Text of an answer, and whether it ends where the model was made to stop: at the token limit or by a filter.

    Of one that is a `call`, the text is JSON of its name and arguments.
    """

    text: str
    cut: bool = False
    call: Call | None = None


NO_ANSWER = Answer("")


@dataclass(frozen=True)
class PersonFeedback:
    """Feedback of a person on an answer: a rating (`up` or `down`), the answer they expected, when, in epoch seconds, why, and tags."""

    rating: str | None = None
    correction: str | Call | None = None
    at: float | None = None
    comment: str | None = None
    tags: str | None = None


@dataclass(frozen=True)
class Imported:
    """An exchange of a log, whether its answer was cut, and the feedback of people; `timed`: the log says when it was.

    `call` is the answer if it is one. `names` are further names under which assessments know the answer, see `Assessment`; `left_out`
    says what of the record was not read, by name.
    """

    exchange: Exchange
    cut: bool = False
    feedback: PersonFeedback | None = None
    timed: bool = True
    call: Call | None = None
    names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Assessment:
    """What a record says of an answer that is in another record: a score of Langfuse, an annotation of Phoenix, an evaluation.

    `about` are names of the answer, the first that is known counts: an id of the log, `span:ID`, or `trace:ID` for the last answer of a
    trace. Without `feedback` it is not a person's word, and `left_out` names it.
    """

    about: tuple[str, ...]
    feedback: PersonFeedback | None = None
    left_out: tuple[str, ...] = ()


def seconds(value: Any) -> float | None:
    """Epoch seconds of a number (seconds, or milli-, micro-, nanoseconds by its size) or a text, UTC without an offset.

    A text is ISO 8601, also with `UTC` or a space before the offset, or as in e-mails, HTTP headers and access logs. None for an empty
    value. Raises ValueError if the value is not a time.
    """
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            moment = _moment(value.strip())
            if moment is None:
                raise ValueError(f"{value[:50]!r} is not a time: neither ISO 8601 nor epoch seconds") from None
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    number = _positive(value, "a time")
    return number / next((unit for limit, unit in _EPOCH_UNITS if number >= limit), 1.0)


def time_in(record: Mapping[str, Any], *names: str) -> float | None:
    """The time in the first of these fields that has a value, see `seconds`; None without one. Raises ValueError with the field."""
    return _read(record, names, seconds)


def between(record: Mapping[str, Any], begin: Sequence[str], end: Sequence[str] = (), first_token: Sequence[str] = ()) -> Timing:
    """Timing from the fields with the times at which a request began, was answered, and got its first token. Raises ValueError."""
    at, until, first = (time_in(record, *names) for names in (begin, end, first_token))
    return Timing(at, _span(at, until), _span(at, first))


def milliseconds(record: Mapping[str, Any], name: str, unit: float = 1.0) -> float | None:
    """A duration in milliseconds, of a field with a number of `unit` milliseconds; None if it has no value.

    Raises ValueError with the field for what is not a duration.
    """
    return _read(record, (name,), lambda value: _positive(value, "a duration") * unit)


def integer(record: Mapping[str, Any], *names: str) -> int | None:
    """The whole number, such as a token count, in the first of these fields that has a value; None without one.

    Raises ValueError with the field for any other value.
    """
    return _read(record, names, _whole)


def loads(value: Any) -> Any:
    """The object a text holds as JSON, else the value itself: exporters write nested JSON as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def mapping(value: Any) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def to_imported(
    source: str,
    row_id: Any,
    asked: Asked,
    answer: Answer,
    timing: Timing,
    version: Any = None,
    user: Any = None,
    tokens_in: int | None = None,
    tokens_out: int | None = None,
    status: int = 200,
    error: str | None = None,
    feedback: PersonFeedback | None = None,
    names: tuple[str, ...] = (),
    left_out: Iterable[str] = (),
) -> Imported:
    """The exchange of one record; its loop is set by the reader.

    The id is the source's own, prefixed with the format's name, or a digest of what was asked, answered and when. The user
    becomes `hashed_user` of the source's name for them; it gets the log's own hash where the row is stored. A duration the source does
    not state is 0, a time NaN until the reader sets it. Of an error the name is stored, not its words: they may be the user's.
    """
    for text in (*(message.content or "" for message in asked.messages), answer.text):
        if lost := text in _HIDDEN or _CUT.search(text):
            raise ValueError(f"the log has {text if lost is True else lost[0]!r} in place of the text")
    messages = openai_messages(asked.messages, text_arguments=True)
    tools = json.loads(asked.tools) if asked.tools else None
    if not isinstance(row_id, str | int | float) or isinstance(row_id, bool) or row_id == "" or row_id != row_id:
        row_id = digest_of([messages, answer.text, timing.at, *([tools] if tools else [])])[:32]
    model = first(version, "id", "name", "model") if isinstance(version, Mapping) else version
    if model and not isinstance(model, str | int | float):
        raise ValueError("the name of the model is not a text")
    exchange = Exchange(
        id=f"{source}:{safe_id(row_id)}",
        loop="",
        version=str(model or source),
        user=hashed_user(first(user, "id", "user_id", "name") if isinstance(user, Mapping) else user),
        prompt=next(message.content or "" for message in reversed(asked.messages) if message.role == "user"),
        messages=json.dumps(stored_request(messages, tools), ensure_ascii=False),
        answer=answer.text,
        status=status,
        at=math.nan if timing.at is None else timing.at,
        latency_ms=timing.latency_ms or 0.0,
        first_token_ms=timing.first_token_ms,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        weight=100.0,
        error=error and (found[0] if (found := _ERROR.match(error)) else "failed"),
    )
    return Imported(exchange, answer.cut, feedback, timing.at is not None, answer.call, names, tuple(left_out))


def safe_id(name: Any) -> str:
    """The id of a row in its source; a digest of it if it has personal data: ids go into datasets and reports."""
    text = str(name)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32] if find(text, "id") else text


def unread(record: Mapping[Any, Any], read: Collection[str], known: tuple[str, ...] = ()) -> list[str]:
    """Fields of a record that hold text and are not read, as words of a report; `known` begins the names that are expected there.

    Numbers in a name are written as N, so that the members of a list have one name; personal data in it is replaced.
    """
    lost = (str(name) for name, value in record.items() if name not in read and holds_text(value))
    return sorted({f"the field {scrubbed_text(_NUMBER.sub('N', name))[:80]!r}" for name in lost if not name.startswith(known)})


def stored_ids(name: str) -> list[str]:
    """What the log may call a request that its source or the gateway calls `name`."""
    return [name, *(f"{source}:{each}" for source in TRAFFIC for each in dict.fromkeys((name, safe_id(name))))]


def first(record: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of these fields that has one."""
    return next((record[name] for name in names if record.get(name) not in (None, "")), None)


def _moment(text: str) -> datetime | None:
    iso = re.sub(r"\s+([+-]\d\d:?\d\d)$", r"\1", re.sub(r"\s*(UTC|GMT)$", "+00:00", text))
    readers = ((datetime.fromisoformat, iso), (lambda value: datetime.strptime(value, _CLF), text), (parsedate_to_datetime, text))
    for read, value in readers:
        try:
            return read(value)
        except (ValueError, TypeError, IndexError):
            continue
    return None


def _read(record: Mapping[str, Any], names: Sequence[str], read: Callable[[Any], _Read]) -> _Read | None:
    name = next((name for name in names if record.get(name) not in (None, "")), None)
    if name is None:
        return None
    try:
        return read(record[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _whole(value: Any) -> int:
    number = _positive(value, "a whole number")
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number")
    if number > _MOST:
        raise ValueError(f"{str(value)[:20]} cannot be right")
    return int(number)


def _positive(value: Any, what: str) -> float:
    number = _number(value, what)
    if number < 0:
        raise ValueError(f"{value!r} is not {what}")
    return number


def _number(value: Any, what: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(value)[:50]!r} is not {what}")
    return number


def _span(begin: float | None, end: float | None) -> float | None:
    if begin is None or end is None:
        return None
    if end < begin:
        raise ValueError("it ended before it began")
    return (end - begin) * 1000
