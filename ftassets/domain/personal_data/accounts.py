"""Numbers of cards, bank accounts and US social security in a folded text, by form and checksum."""

import re
from collections.abc import Iterator

from ftassets.domain.personal_data.contacts import LATIN
from ftassets.domain.personal_data.labels import label_before
from ftassets.domain.personal_data.spans import Span

_CARD_RUN = re.compile(r"[0-9](?<![0-9].)(?<![0-9][ .-].)(?:[ ./-]{0,4}[0-9]){11,}")
_GLUED = re.compile(rf"(?![0-9])[{LATIN}_][0-9]+")  # item12: a word that ends in digits
# four groups, on a line each, or in bold or as code each
_BETWEEN = r"(?:[ \t]{0,4}\r?\n[ \t]{0,4}|_|([*~`]{1,3})[ -]?\1)"
_SPLIT_CARD = re.compile(rf"(?<![0-9_])[0-9]{{4}}(?:{_BETWEEN}[0-9]{{4}}){{3}}(?![0-9_])")
_DIGIT = re.compile("[0-9]")
_DIGITS = re.compile("[0-9]+")
_MOST_GROUPS, _LONGEST = 6, 48  # groups and characters of a number in print; with digits one by one only a run that is nothing else counts
# issuer numbers and lengths of ISO/IEC 7812: Visa, Mastercard, American Express, Diners Club, JCB (two), Maestro with Discover and UnionPay
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})|(?:5[1-5]|2[2-7])[0-9]{14}|3[47][0-9]{13}|3(?:0[0-5]|[689][0-9])[0-9]{11,16}"
    r"|35[0-9]{14,17}|(?:2131|1800)[0-9]{11}|(?:50|5[6-9]|6[0-9])[0-9]{10,17}"
)
_IBAN_CHECK = re.compile(rf"[0-9]{{2}}(?<=[A-Za-z]{{2}}..)(?<![{LATIN}_].{{4}})")
# characters of an IBAN per country, from the IBAN registry (ISO 13616)
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO", "16": "BE", "18": "DK FI FK FO GL NL SD", "19": "MK SI", "20": "AT BA EE KZ LT LU MN XK", "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA", "23": "AE GI IL IQ OM SO TL", "24": "AD CZ ES MD PK RO SA SE SK TN VG", "25": "LY PT ST",
        "26": "IS TR", "27": "BI DJ FR GR IT MC MR SM", "28": "AL AZ BY CY DO GT HN HU LB NI PL SV", "29": "BR EG PS QA UA",
        "30": "JO KW MU YE", "31": "MT SC", "32": "LC", "33": "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
_IBANS = {n: re.compile(rf"[A-Za-z0-9](?:[ ./-]{{0,4}}[A-Za-z0-9]){{{n - 1}}}(?![{LATIN}_])") for n in set(_IBAN_LENGTHS.values())}
_SSN = re.compile(
    rf"[0-9](?<![{LATIN}_].)(?<![0-9][.-].)"
    r"[0-9]{2}(?<!000)(?<!666)(?<!9..)( {1,2}| ?[-/.] ?)(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?!-?[0-9])"
)
_NUMBER_BEFORE = re.compile("[0-9] $")  # a group more of the same number
_CALLED_SSN = re.compile(
    r"(?:\bssn\b|\bsocial security(?: number| no\.?)?)[\"']?\s{0,2}[:=#]?\s{0,2}(?:is )?([0-9]{8,9})(?![0-9])", re.IGNORECASE
)


def cards(text: str) -> Iterator[Span]:
    """Numbers with an issuer's digits and length that pass the Luhn check (ISO/IEC 7812)."""
    for run in _CARD_RUN.finditer(text):
        glued = _GLUED.match(text, max(0, run.start() - 1))  # then only what stands apart from it by a space is a number
        for start, end in windows(run):
            if glued and (start < glued.end() or text[glued.end() : glued.end() + 1] != " "):
                continue
            if end - start >= 12 and _is_card(text[start:end]):
                if len(digits(text[start:end])) < 16 and label_before(text, start) == "phone":
                    continue  # a number with its country's code may pass the check by chance
                yield Span("CARD", start, end)


def split_cards(text: str) -> Iterator[Span]:
    """Such numbers whose four groups are on a line each, have an underscore between them, or are in bold or code each."""
    yield from (Span("CARD", *match.span()) for match in _SPLIT_CARD.finditer(text) if _is_card(match[0]))


def ibans(text: str) -> Iterator[Span]:
    """Account numbers with their country's length that pass mod 97 (ISO 7064)."""
    for check in _IBAN_CHECK.finditer(text):
        start = check.start() - 2
        length = _IBAN_LENGTHS.get(text[start : start + 2].upper())
        if length and (match := _IBANS[length].match(text, start)):
            code = re.sub("[ ./-]", "", match[0])
            if int("".join(str(int(char, 36)) for char in code[4:] + code[:4])) % 97 == 1:
                yield Span("IBAN", *match.span())


def ssns(text: str) -> Iterator[Span]:
    """Social security numbers as the US write them, unless a word before says that it is another number."""
    for match in _SSN.finditer(text):
        spaced_on = match[1].isspace() and _NUMBER_BEFORE.search(text, max(0, match.start() - 2), match.start())
        if not spaced_on and label_before(text, match.start()) != "other":
            yield Span("SSN", *match.span())
    # as a number in JSON it has no zero in front
    yield from (Span("SSN", *match.span(1)) for match in _CALLED_SSN.finditer(text))


def windows(run: re.Match[str]) -> Iterator[tuple[int, int]]:
    """Starts and ends of neighbouring groups of digits within a run, and of the whole run."""
    groups = [match.span() for match in _DIGITS.finditer(run.string, *run.span())]
    for first, (start, _) in enumerate(groups):
        for _, end in groups[first : first + _MOST_GROUPS]:
            if end - start > _LONGEST:
                break
            yield start, end
    if len(groups) > _MOST_GROUPS:
        yield run.span()


def digits(text: str) -> str:
    """The digits of a folded text."""
    return "".join(_DIGIT.findall(text))


def _is_card(text: str) -> bool:
    number = digits(text)
    if not _ISSUERS.fullmatch(number):
        return False
    doubled = (2 * int(digit) for digit in number[-2::-2])
    return (sum(map(int, number[::-2])) + sum(n - 9 if n > 9 else n for n in doubled)) % 10 == 0
