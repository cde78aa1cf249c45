r"""Characters of the world's scripts for patterns: `\w` knows no combining marks, and some scripts have no spaces between words."""

import functools
import itertools
import re
import unicodedata
from collections.abc import Collection


def _ranges(codes: list[int]) -> str:
    runs = (list(run) for _, run in itertools.groupby(enumerate(codes), lambda item: item[1] - item[0]))
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


# For sets of patterns. Combining marks belong to the letter before them: the vowels of Hindi and Thai, accents that stand for themselves.
# All of Unicode's are in these blocks, between which are those of Chinese characters, of Hangul and for private use.
_BLOCKS = (range(0x300, 0x3400), range(0xA600, 0xAC00), range(0xFB00, 0x17000), range(0x1B000, 0x20000), range(0xE0100, 0xE01F0))
MARKS = _ranges([code for codes in _BLOCKS for code in codes if unicodedata.category(chr(code)) in ("Mn", "Mc")])
CJK = "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u312f\u31a0-\u31bf\u31f0-\u31ff"
CJK += "\u3400-\u4dbf\u4e00-\ua4cf\uf900-\ufaff\U00020000-\U0003ffff"
SOUTH_EAST_ASIAN = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\uaa60-\uaa7f"  # Thai, Lao, Myanmar, Khmer

WORD = re.compile(rf"\w+(?:[{MARKS}]\w*)*")  # letters, digits and underscores, with the marks of the letters
_SPACELESS = re.compile(f"[{CJK}{SOUTH_EAST_ASIAN}]")

# Which languages are written in a script, under the word that Unicode's names of its letters begin with: all that fastText's lid.176 tells.
# Anything may be written in Latin letters; the languages named there are those of which nothing else is.
LANGUAGES = {
    script: frozenset(languages.split())
    for script, languages in {
        "Latin": "af als an ast bar bcl br bs ca cbk ceb co cs cy da de diq dsb eml en eo es et eu fi fr frr fy ga gd gl gn gv hif hr hsb "
        "ht hu ia id ie ilo io is it jbo jv kw la lb li lmo lt lv mg min mt mwl nah nap nds nl nn no oc pam pfl pl pms pt qu rm sc scn sco "
        "sk sl so sq su sv sw tl tr vec vep vi vls vo wa war yo",
        "Cyrillic": "av az ba be bg bxr ce cv kk krc ku kv ky lez mhr mk mn mrj myv os ro ru rue sah sh sr tg tk tt tyv ug uk uz xal",
        "Arabic": "ar arz az azb ckb fa kk ku ky lrc ms mzn pa pnb ps sd tg tk tt ug ur uz",
        "Hebrew": "he yi",
        "Greek": "el",
        "Armenian": "hy",
        "Georgian": "ka xmf",
        "Ethiopic": "am",
        "Mongolian": "mn xal",
        "Devanagari": "bh dty gom hi mai mr ne new sa sd",
        "Bengali": "as bn bpy",
        "Gurmukhi": "pa",
        "Gujarati": "gu",
        "Oriya": "or",
        "Tamil": "ta",
        "Telugu": "te",
        "Kannada": "gom kn",
        "Malayalam": "ml",
        "Sinhala": "si",
        "Thaana": "dv",
        "Tibetan": "bo",
        "Thai": "th",
        "Lao": "lo",
        "Myanmar": "my",
        "Khmer": "km",
        "CJK": "ja ko wuu yue zh",
        "Hiragana": "ja",
        "Katakana": "ja",
        "Bopomofo": "zh",
        "Hangul": "ko",
    }.items()
}
_WEIGHTS = {"CJK": 3, "Hiragana": 3, "Katakana": 3, "Hangul": 2}  # letters of others that say as much as one of these


def foreign_script(text: str, languages: Collection[str]) -> str | None:
    """The script of most of a text's letters if none of these languages (ISO 639) is written in it, else None.

    One letter alone may be a sign, such as \u03bb, and counts in the scripts only that have no spaces. None also if one of the languages
    is not in `LANGUAGES`, and for Latin letters.
    """
    wanted = set(languages)
    if text.isascii() or not wanted <= frozenset().union(*LANGUAGES.values()):
        return None
    foreign: dict[str, int] = {}
    total = 0
    for word in WORD.findall(unicodedata.normalize("NFKC", text)):
        letters = [char for char in word if char.isalpha()]
        if len(letters) == 1 and not _SPACELESS.match(letters[0]):
            continue
        for script in map(_script, letters):
            total += (weight := _WEIGHTS.get(script, 1))
            if script in LANGUAGES and script != "Latin" and not wanted & LANGUAGES[script]:
                foreign[script] = foreign.get(script, 0) + weight
    return max(foreign, key=foreign.__getitem__) if 2 * sum(foreign.values()) > total else None


@functools.cache
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0].partition("-")[0]
    return name if name == "CJK" else name.title()


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
