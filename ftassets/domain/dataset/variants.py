"""Requests that one person varies by a word: one sentence that is sent in many forms, to be many labels where there is one."""

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations

from ftassets.domain.dataset.curation.copies import parts_of
from ftassets.domain.dataset.curation.text import words_of
from ftassets.domain.dataset.rows import Example

SHORTEST, LONGEST = 3, 16  # words; of a shorter request hardly anything is left, and longer ones are near copies by their letters
TWO = 5  # words from which two are left out: two forms of a sentence differ from it in one each


def forms_of_one(rows: Sequence[Example], keys: Sequence[Hashable]) -> list[int]:
    """Places of rows that are further forms of a sentence of the same key: a word is another one in each, wherever it stands.

    What stands before the last message must be the same. Each request is looked up by what is left of it without some of its words, so
    that no two rows are compared.
    """
    seen: set[Hashable] = set()
    found, often = [], Counter(keys)
    for place, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if often[key] == 1:
            continue
        *before, last = parts_of(row)
        words = words_of(last)
        if not SHORTEST <= len(words) <= LONGEST:
            continue
        out = combinations(range(len(words)), 2 if len(words) >= TWO else 1)
        left = {(key, *before, places, *(word for n, word in enumerate(words) if n not in places)) for places in out}
        if not seen.isdisjoint(left):
            found.append(place)
        seen |= left
    return found
