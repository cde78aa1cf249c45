r"""Characters of the world's scripts for patterns: `\w` knows no combining marks, and some scripts have no spaces between words."""

import itertools
import re
import unicodedata


def _ranges(codes: list[int]) -> str:
    runs = (list(run) for _, run in itertools.groupby(enumerate(codes), lambda item: item[1] - item[0]))
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


# For sets of patterns. Combining marks belong to the letter before them: the vowels of Hindi and Thai, accents that stand for themselves.
# All of Unicode's lie in these blocks.
MARKS = _ranges([code for code in (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)) if unicodedata.category(chr(code)) in ("Mn", "Mc")])
CJK = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
CJK += "\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uaa60-\uaa7f"  # Thai, Lao, Myanmar, Khmer

WORD = re.compile(rf"\w+(?:[{MARKS}]\w*)*")  # letters, digits and underscores, with the marks of the letters
_SPACELESS = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}]")


def is_whole(text: str, start: int, end: int) -> bool:
    """Whether characters start to end (exclusive) of a text begin and end where words do.

    Between letters of scripts without spaces a word may end anywhere, but no mark is parted from its letter.
    """
    return not any(_joined(text[max(0, place - 1) : place], text[place : place + 1]) for place in (start, end))


def _joined(left: str, right: str) -> bool:
    """Whether two neighbouring characters belong to one word; either is empty at an end of the text."""
    if not left or not right:
        return False
    if _is_mark(right):
        return True
    return all((char.isalnum() or _is_mark(char)) and not _SPACELESS.match(char) for char in (left, right))


def _is_mark(char: str) -> bool:
    return not char.isascii() and unicodedata.category(char) in ("Mn", "Mc")
