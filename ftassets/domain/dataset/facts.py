"""What an answer states that its request does not: prices, dates, numbers and names, which no training keeps up to date."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import is_label, parse_call
from ftassets.domain.scripts import MARKS

KINDS = ("price", "date", "number", "name")
COMMON = 5  # requests whose answers hold a name, or a value of a JSON answer, from which it is vocabulary
CLASS_ROWS = 5  # rows per different answer, and
LABEL_WORDS = 3  # words of an answer at most, by which answers are taken for labels
COMMON_SHARE = 0.01  # ... and share of all requests, where that is more

_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_NUMBER = r"\d+(?:[.,:]\d+)*"
_PATTERNS = {
    "price": re.compile(rf"[$€£¥]\s?{_NUMBER}|{_NUMBER}\s?(?:[$€£¥]|(?:USD|EUR|GBP|dollars|euros|pounds|cents)\b)"),
    "date": re.compile(
        r"\b\d{4}-\d\d?-\d\d?\b|\b\d\d?[./]\d\d?[./]\d{2,4}\b"
        rf"|\b{_MONTH} \d{{1,4}}(?:st|nd|rd|th)?\b|\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}\b"
    ),
    "number": re.compile(rf"(?<![\w.]){_NUMBER}%?"),
    "name": re.compile(rf"(?<![.!?:\n\"“(*-] )(?<=[^\S\n])[A-Z][\w{MARKS}'’-]+"),  # a capital, but not the first word of a sentence
}
_WRITTEN = re.compile(rf"[\w{MARKS}'’-]+")
_LIST_MARK = re.compile(r"^\s*\d+[.)]\s", re.MULTILINE)
_SMALL = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}


def changing_facts(rows: Sequence[Example]) -> list[dict[str, set[str]]]:
    """Facts (by kind) of each row's answer that its request does not hold.

    Of a JSON answer the values count, not the keys. A name that many answers share is vocabulary: a class, a product, a greeting;
    so is a value that many JSON answers share, and what a label has in it where all answers are labels. Names are found by their
    capitals, number words (English) up to 99 are read.
    """
    found = [_new(row) for row in rows]
    spread = Counter((kind, fact) for facts in found for kind, values in facts.items() for fact in values)
    common = max(COMMON, COMMON_SHARE * len(rows))
    kept = []
    labels = _are_labels(rows)
    for row, facts in zip(rows, found, strict=True):
        closed = KINDS if labels or parse_call(row.completion) is not None else ("name",)
        kept.append(
            {
                kind: left
                for kind, values in facts.items()
                if (left := {v for v in values if kind not in closed or spread[kind, v] < common})
            }
        )
    return kept


def without_facts(answer: str) -> str:
    """The answer with every price, date, number and name taken out: what is left is the same where only facts differ."""
    text = _text(answer)
    for pattern in _PATTERNS.values():
        text = pattern.sub("", text)
    return " ".join(text.split())


def _are_labels(rows: Sequence[Example]) -> bool:
    """Whether answers are the labels of a classification: a few words each, and few of them."""
    answers = {row.completion.strip() for row in rows}
    return len(answers) <= len(rows) / CLASS_ROWS and all(is_label(text) and len(text.split()) <= LABEL_WORDS for text in answers)


def _new(row: Example) -> dict[str, set[str]]:
    text = _LIST_MARK.sub("", _text(row.completion))
    asked = row.prompt.lower()
    words = {_bare(word) for word in _WRITTEN.findall(asked)}
    numbers = {_plain(n) for n in re.findall(_NUMBER, asked)} | set(re.findall(r"\d+", asked)) | _spelled(asked)
    found: dict[str, set[str]] = {}
    for kind, pattern in _PATTERNS.items():
        for match in pattern.findall(text):
            if kind == "name":
                known = match == "I" or _bare(match.lower()) in words
            else:  # a date or a price is known when its numbers are
                known = {_plain(n) for n in re.findall(_NUMBER, match)} <= numbers
            if not known:
                found.setdefault(kind, set()).add(match)
        text = pattern.sub(" ", text)  # what is a price is not a number as well
    return found


def _text(answer: str) -> str:
    call = parse_call(answer)
    return answer if call is None else " ".join(_values(call))


def _values(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _values(part)]
    if isinstance(value, list):
        return [text for part in value for text in _values(part)]
    return [] if value is None or isinstance(value, bool) else [str(value)]


def _bare(word: str) -> str:
    return word.removesuffix("'s").removesuffix("’s")


def _plain(number: str) -> str:
    return number.replace(",", "").lstrip("0") or "0"


def _spelled(text: str) -> set[str]:
    """Numbers written as words, "twenty five" as 20, 5 and 25."""
    found: set[int] = set()
    tens = 0
    for word in re.findall(r"[a-z]+", text):
        if word in _SMALL:
            found |= {_SMALL.index(word), tens + _SMALL.index(word)}
            tens = 0
        else:
            tens = _TENS.get(word, 0)
            found |= {tens} if tens else set()
    return {str(n) for n in found}
