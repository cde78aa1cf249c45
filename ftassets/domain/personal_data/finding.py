"""Where a text holds personal data or secrets, whatever its script and however often it was escaped."""

import re
from collections.abc import Iterator

from ftassets.domain.personal_data.accounts import cards, ibans, split_cards, ssns
from ftassets.domain.personal_data.checked_keys import checked_keys
from ftassets.domain.personal_data.contacts import emails, ips, veiled_emails
from ftassets.domain.personal_data.credentials import PRIVATE_KEY, is_called_secret, may_be_letters, may_be_named, may_be_phrase, secrets
from ftassets.domain.personal_data.folding import folded, unescaped
from ftassets.domain.personal_data.phones import phones
from ftassets.domain.personal_data.spans import Span, resolved

# No pattern has two ways to match the same characters, and none repeats without bound where it can still fail: the time is linear
# in the text, whatever the text. Texts without a digit and without an @, most of them, cost one search.
_HINT = re.compile(r"[\d@＠﹫]|[(\[] ?at ?[)\]]|&commat;")
# without one of these nothing can be found, not even behind escapes; numbers of fewer digits are common and harmless
_SHAPE = re.compile(
    r"[@＠﹫\\%&(\[:\d](?:"  # one set first, at which the engine skips quickly; what follows says which of it was there
    r"(?<=[@＠﹫\\])|(?<=%)[2-7][0-9A-Fa-f]|(?<=&)[#cpnas]|(?<=[(\[]) ?at ?[)\]]|(?<=[0-9A-Fa-f:]:)[0-9A-Fa-f:]"
    r"|(?<=\d)(?:(?:\W{0,5}\d){5}|[.．]\d{1,3}[.．]\d|(?<=[^\W\d_]{2}\d)\d)"
    r"|(?<=[0-9])(?:[A-Za-z0-9_+/.-]{8}|(?<=[A-Za-z0-9_+/.-]{9}))"  # in a word of 16 characters or more
    r")"
)
_SHORTEST = 3  # characters of what can be found: a PIN of three digits
_WITHOUT_DIGIT = 16  # of a text in which a secret without a digit can be found
_LONG_NUMBER = re.compile(r"[0-9](?:[ .()/-]{0,4}[0-9]){5}")


def may_hold(text: str) -> bool:
    """Whether `find` could find anything; quick."""
    if _HINT.search(text) and (_SHAPE.search(text) or may_be_named(text)):
        return True
    return len(text) >= _WITHOUT_DIGIT and (PRIVATE_KEY in text or may_be_phrase(text) or may_be_letters(text))


def find(text: str, label: str = "") -> list[Span]:
    """Spans of EMAIL, CARD, IBAN, SSN, IP, PHONE and SECRET in order of place, none overlapping another (the longest wins).

    `label` is what the text is called, for example its key in a JSON document: it counts as a word before the text. Digits and letters
    of other scripts and widths count, as do escapes of JSON, URLs and HTML. Time is linear in the text.
    """
    if len(text) < _SHORTEST:
        return []
    begin = f"{label}: " if label else ""
    if not may_hold(begin + text):
        return []
    if label and is_called_secret(label, text):
        return [Span("SECRET", 0, len(text))]
    views = [folded(text), unescaped(text)] if "\\" in text or "%" in text or "&" in text else [folded(text)]
    found = []
    for view in views:
        if view is not None:
            for kind, start, end in _found(begin + view.text):
                if start >= len(begin):
                    found.append(view.back(Span(kind, start - len(begin), end - len(begin))))
    return resolved(found)


def _found(text: str) -> Iterator[Span]:
    if "@" in text:
        yield from emails(text)
    yield from veiled_emails(text)
    yield from ibans(text)
    yield from ips(text)
    yield from secrets(text)
    yield from checked_keys(text)
    yield from split_cards(text)
    if _LONG_NUMBER.search(text):
        yield from cards(text)
        yield from ssns(text)
        yield from phones(text)
