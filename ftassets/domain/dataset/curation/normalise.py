"""Noise out of texts: control characters, other line ends, white space at the ends. What could mean something stays."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ftassets.domain.chat import texts, trimmed, with_texts
from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.json_strings import TOKEN, is_json, with_strings

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_MARKS = re.compile("[\u00ad\ufeff]")
# between letters of Thai, Lao, Myanmar, Khmer, Tibetan, Chinese and Japanese a zero-width space ends a word
_ZERO_WIDTH = re.compile("(?<![\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff])\u200b(?![\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff])")
# NFC makes another ideograph of these, which names are written with
_IDEOGRAPHS = re.compile("([\uf900-\ufaff\U0002f800-\U0002fa1f]+)")


def _composed(text: str) -> str:
    if unicodedata.is_normalized("NFC", text):
        return text
    return "".join(part if number % 2 else unicodedata.normalize("NFC", part) for number, part in enumerate(_IDEOGRAPHS.split(text)))


ENDS = "white space at the ends"
_OPENS = ("{", "[", '"')  # what begins JSON that has strings
CHANGES: dict[str, Callable[[str], str]] = {  # in this order
    "line ends": lambda text: _LINE_ENDS.sub("\n", text),
    "control characters": lambda text: _CONTROL.sub("", text),
    "byte order marks and soft hyphens": lambda text: _MARKS.sub("", text),
    "zero-width spaces": lambda text: _ZERO_WIDTH.sub("", text),
    "letters composed (NFC)": _composed,
    ENDS: trimmed,
}
_IN_JSON = {kind: change for kind, change in CHANGES.items() if kind != ENDS}  # white space at the ends is part of a value


def clean(text: str) -> str:
    """The text without noise, see CHANGES; in JSON its strings without noise, and it stays JSON."""
    if text.isascii() and text.isprintable():
        return trimmed(text)
    if text[:1] in _OPENS and is_json(text):
        return trimmed(with_strings(text, _clean_string))
    for change in CHANGES.values():
        text = change(text)
    return text


def _clean_string(text: str) -> str:
    for change in _IN_JSON.values():
        text = change(text)
    return text


def normalise(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Change the rows that have noise in them; drop those of which nothing is left. Counts are rows by kind of change."""
    dropped, changed = {}, {}
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for i in pool.index:
        row = pool.rows[i]
        asked = texts(row.messages)
        cleaned, completion = [clean(text) for text in asked], clean(row.completion)
        if cleaned == asked and completion == row.completion:
            continue
        if not (completion and all(cleaned)):
            dropped[i] = f"nothing is left of the {'request' if completion else 'answer'} without control characters and spaces"
            continue
        changed[i] = row.model_copy(update={"messages": with_texts(row.messages, cleaned), "completion": completion})
        kinds = {kind: example for text in (*asked, row.completion) for kind, example in _kinds(text)}
        counts.update(kinds.keys())
        for kind, example in kinds.items():
            examples.setdefault(kind, f"row {row.id}, {example}")
    return StepOutcome(dropped, changed, {kind: counts[kind] for kind in CHANGES if counts[kind]}, examples=examples)


def _kinds(text: str) -> Iterator[tuple[str, str]]:
    """The kinds of change that a text needs, each with the first character that is changed."""
    if text[:1] in _OPENS and is_json(text):
        for match in TOKEN.finditer(text):
            yield from _kinds_of(json.loads(match[1]) if match[1] else "", _IN_JSON)
        yield from _kinds_of(text, {ENDS: trimmed})
    else:
        yield from _kinds_of(text, CHANGES)


def _kinds_of(text: str, changes: Mapping[str, Callable[[str], str]]) -> Iterator[tuple[str, str]]:
    for kind, change in changes.items():
        after = change(text)
        if after != text:
            place = next(
                (n for n, (one, other) in enumerate(zip(text, after, strict=False)) if one != other), min(len(text) - 1, len(after))
            )
            yield kind, f"U+{ord(text[place]):04X} at character {place + 1} of a text"
            text = after
