"""Texts and answers as duplicates are compared, and which of two copies counts."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from ftassets.domain.canonical import comparable_json, read_json
from ftassets.domain.chat import Asked, Message
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm

_SOURCES = {"seed": 0, "label": 0, "correction": 1, "synthetic": 3}  # what people wrote first, what a teacher wrote last
_WORD = re.compile(r"\w+")
INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff\u00ad]")


def normalised(text: str) -> str:
    """Text as duplicates are compared: NFKC, lower case, single spaces, without zero-width characters."""
    if not text.isascii():
        text = INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(text.lower().split())


def words_of(text: str) -> list[str]:
    """The words of a text once normalised, without punctuation; a text without words as it is."""
    text = normalised(text)
    return _WORD.findall(text) or [text]


def said(message: Message) -> str:
    """The message once normalised, with its role. Ids of tool calls do not count, they are new each time, nor does the order of keys."""
    calls = " ".join(f"{call.name}({_document(call.arguments)})" for call in message.tool_calls or ())
    return f"{message.role}: {normalised(message.content or calls)}"


def tools_key(tools: str | None) -> str:
    """Equal for the same tools, whatever the order of their keys; empty without tools."""
    return normalised(_document(tools)) if tools else ""


def _document(text: str) -> str:
    """JSON the same for equal values; a text that is not read alike everywhere as it is."""
    try:
        return comparable_json(read_json(text))
    except ValueError:
        return text


def request_key(asked: Asked) -> str:
    """Equal for requests that are the same once normalised, message by message and in their tools."""
    if len(asked.messages) == 1 and asked.tools is None:
        return normalised(asked.prompt)
    # texts have no such character once they are normalised
    return "\x1f".join(["", *map(said, asked.messages), tools_key(asked.tools)])


def request_digest(asked: Asked) -> bytes:
    """16 bytes that are equal for requests with the same `request_key`."""
    return hashlib.blake2b(request_key(asked).encode(), digest_size=16).digest()


def answer_keys(rows: Sequence[Example], form: AnswerForm) -> np.ndarray:
    """One number (n,) uint64 per row, equal for answers that are the same once normalised; key order in JSON does not count."""
    keys: dict[str, int] = {}
    for row in rows:
        if row.completion not in keys:  # answers repeat more than requests do
            said = answer_key(row.completion, form).encode()
            keys[row.completion] = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")
    return np.fromiter((keys[row.completion] for row in rows), dtype=np.uint64, count=len(rows))


def answer_key(answer: str, form: AnswerForm) -> str:
    """Equal for answers that say the same: the same JSON object whatever the order of its keys, or the same text once normalised."""
    return normalised(form.canonical(answer))


def precedence(row: Example) -> tuple[int, float]:
    """Sort key by which the first of several copies is kept: what people wrote before what a model wrote, then the newest."""
    return _SOURCES.get(row.source, 2), -(row.at or 0)


def ranked(rows: Sequence[Example], positions: Iterable[int]) -> list[int]:
    """The positions by precedence of their rows, equals by id, so that the order of arrival does not matter."""
    return [i for _, _, i in sorted([(precedence(rows[i]), rows[i].id, i) for i in positions])]
