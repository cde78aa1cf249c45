"""Texts and answers as duplicates are compared, and which of two copies counts."""

import functools
import hashlib
import html
import re
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote

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
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e0fff]"
)
# A word is 1.7 letters in Chinese and Japanese, and 3.3 without marks in Thai, Lao, Myanmar and Khmer.
_SPACELESS = re.compile(f"([{CJK}])|[{SOUTH_EAST_ASIAN}]")
_SPECIAL = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}{MARKS}]")
_LETTER_OR_WORD = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}][{MARKS}]*|(?:[^\\W{CJK}{SOUTH_EAST_ASIAN}]|[{MARKS}])+")
_OTHER_MEANING = {"<super>", "<sub>", "<fraction>", "<circle>", "<square>"}  # 10\u00b2 is not 102, \u00bd is not 12

_DEPTH = 4  # JSON in JSON in JSON: escapes are undone so many times
_ESCAPES = re.compile(r"[\\&%]")
_ESCAPE = re.compile(r"\\(?:u\{?(?P<code>[0-9A-Fa-f]{4,5})\}?|x(?P<byte>[0-9A-Fa-f]{2})|(?P<char>.))", re.DOTALL)
_SPACES = frozenset("nrtbf")  # escapes of white space
# letters are the same letter with and without them: accents, vowel marks of Hebrew, Arabic and Syriac, and the line that stretches a word
_LEFT_OUT = (
    (0x300, 0x36F), (0x591, 0x5C7), (0x610, 0x61A), (0x640, 0x640), (0x64B, 0x65F), (0x670, 0x670), (0x6D6, 0x6ED), (0x711, 0x711),
    (0x730, 0x74A), (0x8CA, 0x8FF), (0x1AB0, 0x1AFF), (0x1DC0, 0x1DFF), (0x20D0, 0x20FF),
)  # fmt: skip
_SAME_AS = {"ß": "ss", "ς": "σ", "ı": "i", "_": " ", **dict.fromkeys("ʹʻʼʽˈꞌ", "'")}


class _Bare(dict[int, int | str | None]):
    """For `str.translate`: what a letter is compared as, None if it is left out; worked out when it is first met."""

    def __missing__(self, code: int) -> int | str | None:
        char = chr(code)
        if any(first <= code <= last for first, last in _LEFT_OUT) and unicodedata.category(char) in ("Mn", "Lm"):
            self[code] = None
        else:
            self[code] = str(unicodedata.decimal(char)) if unicodedata.category(char) == "Nd" else _SAME_AS.get(char, code)
        return self[code]


_BARE = _Bare()


def bare(text: str, apart: bool = False) -> str:
    """Text as near copies and golden questions are looked for: `normalised`, whatever it is wrapped in.

    The escapes of JSON, HTML and URLs are undone, letters have no accents and vowel marks, digits are ASCII's, and underscores are spaces.
    With `apart` so are zero-width spaces, which else are left out.
    """
    if _ESCAPES.search(text):
        text = _unescaped(text)
    if apart:
        text = text.replace("\u200b", " ")
    if text.isascii():
        return normalised(text.replace("_", " "))
    return normalised(unicodedata.normalize("NFC", unicodedata.normalize("NFD", _folded(text).lower()).translate(_BARE)))


def _unescaped(text: str) -> str:
    for _ in range(_DEPTH):
        before = text
        if "\\" in text:
            # an escape may stand for half of a character
            text = _ESCAPE.sub(_escaped, text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        if "&" in text:
            text = html.unescape(text)
        if "%" in text:
            text = unquote(text)
        if text == before:
            break
    return text


def _escaped(escape: re.Match[str]) -> str:
    if code := escape["code"] or escape["byte"]:
        return chr(int(code, 16))
    return " " if escape["char"] in _SPACES else escape["char"]


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


def words_of(text: str, apart: bool = False) -> list[str]:
    """The words of a text once `bare`, without punctuation; a text without words as it is.

    Where scripts have no spaces each letter is given, with its marks: `size_of` says how many words they are.
    """
    text = bare(text, apart)
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
