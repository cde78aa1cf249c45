"""Rows that teach nothing: a low quality score, a request without content, an answer caught in a loop."""

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.repetition import repetition
from ftassets.domain.scripts import CJK, MARKS, SOUTH_EAST_ASIAN
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig

MAX_SHARE = 0.5  # of one character, or of one word
MIN_LETTERS = 0.1  # share of letters among the characters that are no space
MAX_WORD = 200  # characters
# too little text for a share to mean anything
_FEW_CHARS = 12
_FEW_WORDS = 6
# Sentences of scripts without spaces, and wide letters between them, are no long words. Base64 is one word.
_LONG_WORD = re.compile(rf"(?:[+/=_-]?(?:[^\W_{CJK}{SOUTH_EAST_ASIAN}\uff00-\uffef]|[{MARKS}])){{{MAX_WORD + 1},}}")
_ADDRESS = re.compile(r"\b\w+://\S+|(?<!\S)[^\s?]+\?\S*=\S*")  # presigned ones hold long tokens
_FRAME = frozenset(
    "|-=_+*~:;,.#/\\'\"{}[]()<>&%$@^`\u2500\u2501\u2502\u2503\u253c\u2550\u2551"
)  # what tables, code and JSON are written with
_NAME = re.compile(rf"[^\W\d_][{MARKS}]*[^\W\d_]")


def keep_good(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop rows with a quality score below `loop.dataset.quality_score`, and rows whose request or answer is degenerate.

    A row without a score is kept and counted. JSON answers skip the checks for prose. Every reason names the figure that failed.
    """
    dropped: dict[int, str] = {}
    unscored = 0
    for i in pool.index:
        row = pool.rows[i]
        unscored += row.quality is None
        if row.quality is not None and row.quality < loop.dataset.quality_score:
            dropped[i] = f"quality score {row.quality:g} is below {loop.dataset.quality_score:g}"
        elif reason := _asked_fault(row) or answer_fault(row.completion):
            dropped[i] = reason
    return StepOutcome(dropped=dropped, counts={"without a score": unscored} if unscored else {})


def _asked_fault(row: Example) -> str | None:
    """What is wrong with a message of the user; what a client's system or tool wrote may be of any form."""
    faults = (request_fault(message.content or "") for message in row.messages if message.role == "user")
    return next(filter(None, faults), None)


def request_fault(text: str) -> str | None:
    """What is wrong with a request, or None: mostly one character or word, hardly any letters, a word over MAX_WORD characters.

    Addresses, numbers, and what tables, code and JSON are written with may repeat next to words.
    """
    if len(text) > MAX_WORD and (long := _LONG_WORD.search(_ADDRESS.sub(" ", text))):
        return f"the request has a word of {amount(len(long[0]), 'character')}, more than {MAX_WORD}"
    words = text.split()
    chars = "".join(words)
    if len(chars) >= _FEW_CHARS:
        frame = _FRAME if _NAME.search(text) else frozenset()
        char = _middle(chars)
        count = chars.count(char)
        # digits are left out: 1000000 is mostly zeros and still a number
        if count > MAX_SHARE * len(chars) and char not in frame and not char.isdigit():
            return f"{count / len(chars):.0%} of the request's characters are {char!r}, more than {MAX_SHARE:.0%}"
        if frame and not chars.isalpha():
            chars = "".join(char for char in chars if char not in frame and not char.isdigit())
        letters = len(chars) if chars.isalpha() else sum(map(_is_letter, chars))
        if letters < MIN_LETTERS * len(chars):
            return f"{letters / len(chars):.0%} of the request's characters are letters, fewer than {MIN_LETTERS:.0%}"
    if len(words) >= _FEW_WORDS:
        words = [word.lower() for word in words]
        word = _middle(words)
        count = words.count(word)
        if count > MAX_SHARE * len(words) and any(map(_is_letter, word)):
            return f"one word is {count} of the request's {len(words)} words, more than {MAX_SHARE:.0%}"
    return None


def _middle(items: Sequence[str]) -> str:
    """What more than half of the items are, if anything is: it is in the middle of them once they are sorted."""
    return sorted(items)[len(items) // 2]


def answer_fault(text: str) -> str | None:
    """What is wrong with an answer in prose, or None: a line or phrase that repeats until it is more than half of the answer."""
    fault = repetition(text)
    return fault and f"the answer {fault}"


def _is_letter(char: str) -> bool:
    return unicodedata.category(char)[0] in "LM"  # marks too: they are the vowels of Hindi or Thai
