"""Phone numbers in a folded text, by form and by the words around them."""

import re
from collections.abc import Iterator

from ftassets.domain.personal_data.accounts import digits
from ftassets.domain.personal_data.labels import is_called_phone, label_before
from ftassets.domain.personal_data.spans import Span

_LETTER = "A-Za-zÀ-ɏḀ-ỿΑ-ωЀ-ӿ"  # scripts whose words do not touch numbers
_SEP = "[ .()/-]{0,4}"
_BEGIN = rf"(?<![{_LETTER}0-9_#])(?<![0-9][./-])(?<![0-9]:)"
_END = rf"(?![0-9{_LETTER}_]|\.[0-9]|-(?!office|fax|home|mobil|work|cell)[0-9A-Za-z])"
_EXTENSION = r"(?: {0,2}(?:x|ext\.?|#|доб\.?|poste|int\.?|転|内線) {0,2}[0-9]{1,6}(?![0-9]))?"
_DAY, _MONTH, _YEAR = "(?:0?[1-9]|[12][0-9]|3[01])", "(?:0?[1-9]|1[0-2])", "(?:19|20)[0-9]{2}"
_DATE = re.compile(
    rf"(?:{_DAY}[ ./-]{{1,3}}{_MONTH}[ ./-]{{1,3}}(?:{_YEAR}|[0-9]{{2}}(?![ ./-]{{1,3}}[0-9]))"
    rf"|{_MONTH}[ ./-]{{1,3}}{_DAY}[ ./-]{{1,3}}{_YEAR}"
    rf"|{_YEAR}[ ./-]{{0,3}}[01][0-9][ ./-]{{0,3}}[0-3][0-9]|{_YEAR}[ ./-]{{1,3}}{_YEAR})(?![0-9])"
)
_MONEY = re.compile(r" {0,2}(?:[€$£¥₹₩₽%]|(?:usd|eur|gbp|jpy|inr|rub|krw|vnd|idr|kr|zł|円|元|원|руб)(?![a-z]))", re.IGNORECASE)

# forms that are phone numbers unless a word before says that they are something else
_PLUS = rf"\(?\+\(?[1-9](?:{_SEP}[0-9]){{6,14}}"  # E.164: at most 15 digits
_OWN_FORM = "|".join(
    [
        rf"(?:00|011[ -]?)[1-9](?:{_SEP}[0-9]){{7,13}}",  # international, dialled
        r"(?:1[ .-]{1,2})?(?:\([0-9]{3}\)[ -]{0,2}|[0-9]{3}(?: {1,2}| ?[.-] ?))[0-9]{3}(?: {1,2}| ?[.-] ?)[0-9]{4}",  # North American
        r"(?!2147483647|2147483648|4294967295|4294967296)1?[2-9][0-9]{2}[2-9][0-9]{6}",  # the same without separators
        rf"\((?!(?:19|20)[0-9]{{2}}\))[0-9]{{2,6}}\)(?:{_SEP}[0-9]){{5,9}}",  # area code in brackets
        rf"(?!0123456789)0[1-9](?:{_SEP}[0-9]){{7,10}}",  # national with trunk prefix
        rf"0[1-9][0-9]{{0,3}} ?[/-] ?[0-9](?:{_SEP}[0-9]){{4,7}}",  # area code and a short number
        r"1[3-9][0-9](?:[ -]?[0-9]{4}){2}",  # mobile, China
        r"[1-9][0-9]{0,3} ?- ?[0-9]{3,4} ?- ?[0-9]{4}",  # without trunk prefix: Japan, Korea
        r"[1-9][0-9] {1,2}9?[0-9]{4} ?- ?[0-9]{4}",  # the same: Brazil
        r"[1-9][0-9]?/[0-9]{3}[ -][0-9]{3,4}",  # the same: Hungary
        r"[78][ -]?\([0-9]{3,5}\)(?:[ -]{0,2}[0-9]){5,7}|8[ -][0-9]{3}(?:[ -][0-9]{2,4}){2,3}|[78]9[0-9]{9}",  # Russia
    ]
)
_PHONE = re.compile(rf"{_BEGIN}(?:(?P<plus>{_PLUS})|{_OWN_FORM}){_EXTENSION}{_END}", re.IGNORECASE)
_RUN = re.compile(rf"{_BEGIN}\(?[0-9](?:{_SEP}[0-9]){{5,14}}{_EXTENSION}{_END}", re.IGNORECASE)
_GLUED = re.compile(rf"([{_LETTER}_]+)[-_/](?<!\bwa\.me/)$")  # a word and a number with a dash between: the name of a part
_PRICE = re.compile(r"[€$£¥₹₩₽] {0,2}$")


def phones(text: str) -> Iterator[Span]:
    """Phone numbers: with + always; in a national form unless a word names another number; in other forms if a word names a phone."""
    found: list[Span] = []
    for match in _PHONE.finditer(text):
        if match["plus"] or (not _other(text, match) and label_before(text, match.start()) != "other"):
            found.append(Span("PHONE", *match.span()))
    yield from found
    known = iter(found)
    span = next(known, None)
    for match in _RUN.finditer(text):
        start, end = match.span()
        while span and span.end < end:
            span = next(known, None)
        if (span and span.start <= start) or _other(text, match):
            continue
        if is_called_phone(text, start, end):
            yield Span("PHONE", start, end)


def _other(text: str, match: re.Match[str]) -> bool:
    """Whether the number is a date, a price or a part of a name."""
    start, end = match.span()
    before = text[max(0, start - 24) : start]
    if before and before[-1] in "-_/" and (glued := _GLUED.search(before)) and label_before(glued[1], len(glued[1])) != "phone":
        return True
    if _PRICE.search(before) or _MONEY.match(text, end):
        return True
    return bool(_DATE.match(text, start)) or not 6 <= len(digits(match[0])) <= 21
