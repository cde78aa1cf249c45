"""An answer caught in a loop: the same line or phrase over and over."""

import json
import re
from collections import Counter

import numpy as np

from ftassets.wording import amount

MIN_REPEATS = 5  # times the same line or phrase stands in an answer, which fills more than half of it
_LONGEST_PHRASE = 50  # words
_WRITTEN = re.compile(r"[^\W_]")


def repetition(text: str) -> str | None:
    """How an answer in prose repeats itself, as in "repeats a phrase ..."; None when it does not. JSON may repeat.

    It does when a line or phrase stands in it MIN_REPEATS times and fills more than half of it.
    """
    words = text.split()
    # a phrase that fills half of the answer in five copies leaves at most 60 % of the words distinct
    if len(words) < MIN_REPEATS or len(set(words)) > 0.6 * len(words) or _is_structured(text):
        return None
    if any(map(_WRITTEN.search, words)):  # the bars of a table repeat
        words = [word for word in words if _WRITTEN.search(word)]
    lines = [line.strip() for line in text.splitlines() if _WRITTEN.search(line)] or text.split("\n")
    count = Counter(lines).most_common(1)[0][1]
    if count >= MIN_REPEATS and count > len(lines) / 2:
        return f"has the same line {amount(count, 'time')}, of {amount(len(lines), 'line')}"
    numbers: dict[str, int] = {}
    ids = np.array([numbers.setdefault(word, len(numbers)) for word in words])
    for length in range(1, min(_LONGEST_PHRASE, len(ids) // MIN_REPEATS) + 1):
        repeats = 1 + _longest_run(ids[length:] == ids[:-length]) // length
        if repeats >= MIN_REPEATS and repeats * length > len(ids) / 2:
            return f"repeats a phrase {amount(repeats, 'time')} in a row: {repeats * length} of its {len(ids)} words"
    return None


def _is_structured(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False


def _longest_run(same: np.ndarray) -> int:
    """Length of the longest stretch of True in a boolean array (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], same, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
