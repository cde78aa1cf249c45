"""Texts and answers as duplicates are compared, and which of two copies counts."""

import functools
import hashlib
import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ftassets.domain.canonical import comparable_json, read_json
from ftassets.domain.chat import Asked, Message
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import AnswerForm
from ftassets.domain.scripts import CJK, MARKS, SOUTH_EAST_ASIAN

RANKS = ("label", "correction", "seed", "thumbs_up", "synthetic")  # whose answer to a request counts: a seed can be corrected
# which of two copies stays: what the loop's owners wrote, so that feedback that is doubted later takes none of it away
_COPIES = ("label", "seed", "correction", "thumbs_up", "synthetic")
_WORD = re.compile(r"\w+")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff]")
# A word is 1.7 letters in Chinese and Japanese, and 3.3 without marks in Thai, Lao, Myanmar and Khmer.
_SPACELESS = re.compile(f"([{CJK}])|[{SOUTH_EAST_ASIAN}]")
_SPECIAL = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}{MARKS}]")
_LETTER_OR_WORD = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}][{MARKS}]*|(?:[^\\W{CJK}{SOUTH_EAST_ASIAN}]|[{MARKS}])+")
_OTHER_MEANING = {"<super>", "<sub>", "<fraction>", "<circle>", "<square>"}  # 10\u00b2 is not 102, \u00bd is not 12


def normalised(text: str) -> str:
    """Text as copies are compared: lower case, letters of one width, composed, single spaces, without zero-width characters.

    What would change the meaning stays: superscripts, fractions, and the indentation of the lines after the first.
    """
    if not text.isascii():
        text = _INVISIBLE.sub("", _folded(text))
    text = text.lower()
    if "\n " in text or "\n\t" in text:
        return _lines(text)
    return " ".join(text.split())


def _folded(text: str) -> str:
    """The text in NFKC, but for characters that mean something else than what NFKC makes of them."""
    if unicodedata.is_normalized("NFKC", text):
        return text
    parts = _other_meaning().split(text)  # every second one is such a character
    return "".join(part if number % 2 else unicodedata.normalize("NFKC", part) for number, part in enumerate(parts))


@functools.cache
def _other_meaning() -> re.Pattern[str]:
    tagged = ((chr(code), unicodedata.decomposition(chr(code)).partition(" ")[0]) for code in range(0x80, sys.maxunicode + 1))
    found = [char for char, tag in tagged if tag in _OTHER_MEANING or (tag == "<compat>" and unicodedata.category(char) == "No")]
    return re.compile(f"([{''.join(found)}])")


def _lines(text: str) -> str:
    """The text with single spaces, and a line of its own for each one that is indented further than the least indented one."""
    written = ""
    for line in textwrap.dedent(text).splitlines():
        if words := " ".join(line.split()):
            indentation = line[: len(line) - len(line.lstrip(" \t"))]
            written += (f"\n{indentation}" if indentation else " ") + words
    return written.lstrip(" ")


def words_of(text: str) -> list[str]:
    """The words of a text once normalised, without punctuation; a text without words as it is.

    Where scripts have no spaces each letter is given, with its marks: `size_of` says how many words they are.
    """
    text = normalised(text)
    if text.isascii() or not _SPECIAL.search(text):
        return _WORD.findall(text) or [text]
    return _LETTER_OR_WORD.findall(text) or [text]


def size_of(words: Sequence[str]) -> list[int]:
    """The length of each word in tenths of a word: 10, but for single letters of scripts without spaces."""
    return [10 if word.isascii() or not (script := _SPACELESS.match(word)) else 6 if script[1] else 3 for word in words]


def said(message: Message) -> str:
    """The message once normalised, with its role. Ids of tool calls do not count, they are new each time, nor does the order of keys."""
    calls = " ".join(f"{call.name}({_document(call.arguments)})" for call in message.tool_calls or ())
    return f"{message.role}: {normalised(message.content) if message.content else calls}"


def tools_key(tools: str | None) -> str:
    """Equal for the same tools, whatever the order of their keys; empty without tools."""
    return _document(tools) if tools else ""


def _document(text: str) -> str:
    """A text that is JSON as copies are compared: its strings once normalised, keys in any order; another text once normalised."""
    try:
        return comparable_json(_strings_normalised(read_json(text)))
    except ValueError:
        return normalised(text)


def _strings_normalised(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _strings_normalised(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_strings_normalised(item) for item in value]
    return normalised(value) if isinstance(value, str) else value


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
            said = answer_key(row.completion, form).encode("utf-8", "surrogatepass")  # which an escape of JSON may stand for
            keys[row.completion] = int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), "big")
    return np.fromiter((keys[row.completion] for row in rows), dtype=np.uint64, count=len(rows))


def answer_key(answer: str, form: AnswerForm) -> str:
    """Equal for answers that say the same: the same JSON object whatever the order of its keys, or the same text once normalised."""
    canonical = form.canonical(answer)
    return _document(canonical) if canonical.startswith("{") else normalised(canonical)


def rank(source: str, order: Sequence[str] = RANKS) -> int:
    """Place of a source in an order, from 0; any other source is a file of the loop's owners, as the seed is."""
    return order.index(source if source in order else "seed")


def precedence(row: Example) -> tuple[int, float]:
    """Sort key by which the first of several copies, whose answers are the same, is kept: of the best source, then the newest."""
    return rank(row.source, _COPIES), -(row.at or 0)


def ranked(rows: Sequence[Example], positions: Iterable[int]) -> list[int]:
    """The positions by precedence of their rows, equals by id, so that the order of arrival does not matter."""
    return [i for _, _, i in sorted([(precedence(rows[i]), rows[i].id, i) for i in positions])]
