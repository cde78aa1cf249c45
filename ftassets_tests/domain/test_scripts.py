"""Words of all scripts, with the marks of their letters."""

import re
import sys
import unicodedata

import pytest

from ftassets.domain.scripts import MARKS, WORD, is_whole


def test_marks_are_all_that_unicode_has() -> None:
    mark = re.compile(f"[{MARKS}]")
    for char in map(chr, range(sys.maxunicode + 1)):
        assert bool(mark.match(char)) == (unicodedata.category(char) in ("Mn", "Mc")), hex(ord(char))


def test_a_word_keeps_its_marks() -> None:
    assert WORD.findall("हिन्दी में, zoe\u0308_2 (ok)! ❤\ufe0f") == ["हिन्दी", "में", "zoe\u0308_2", "ok"]


@pytest.mark.parametrize(
    ("text", "part", "whole"),
    [
        ("see Paris.", "Paris", True),
        ("Parisian", "Paris", False),
        ("in Paris", "Paris", True),
        ("Anna5", "Anna", False),
        ("राम घर", "राम", True),
        ("रामा घर", "राम", False),  # ends in a vowel sign
        ("Rene\u0301", "Rene", False),
        ("首都是北京。", "北京", True),
        ("Anna在家", "Anna", True),
        ("เขาอยู่กรุงเทพแล้ว", "กรุงเทพ", True),
        ("กรุงเทพื", "กรุงเทพ", False),
    ],
)
def test_a_word_ends_where_its_script_says(text: str, part: str, whole: bool) -> None:
    start = text.index(part)
    assert is_whole(text, start, start + len(part)) is whole
