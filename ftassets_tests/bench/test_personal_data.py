"""The texts that `bench.pii` makes: values stand where they are said to, and the scrubber meets the bars on a small sample of each."""

from collections import Counter
from typing import Any

import pytest

from bench.generators.addresses import ADDRESSES, addresses
from bench.generators.personal_data import LOCALES, harmless, personal, with_secrets
from bench.generators.written_phones import written_phones
from ftassets.domain.personal_data.finding import find


class SomeFaker:
    """Stands in for faker, which the benchmark installs for itself."""

    def __init__(self) -> None:
        self.number = 0

    def seed_instance(self, seed: int) -> None:
        self.number = seed

    def __getattr__(self, name: str) -> Any:
        self.number += 1
        values = {
            "phone_number": ("+49 30 1234567", "(555) 234-5678", "12 34 56 78", "030 123 45 67", "39150008"),
            "ascii_email": ("ann.lee@example.com",),
            "ipv4": ("203.0.113.9",),
            "ipv6": ("2001:db8::8a2e:370:7334",),
        }[name]
        return lambda: values[self.number % len(values)]


@pytest.mark.parametrize("locale", LOCALES)
def test_values_of_a_locale_are_found_where_they_stand(locale: str) -> None:
    texts = list(personal(locale, 20, SomeFaker(), 1))
    assert Counter(text.kind for text in texts) == {"PHONE": 40, "EMAIL": 20, "CARD": 20, "IBAN": 20, "IP": 20}
    for text in texts:
        assert text.text[text.start : text.end].strip()
        found = find(text.text)
        assert any(f.kind == text.kind and f.start < text.end and text.start < f.end for f in found), (text.text, found)


def test_addresses_of_every_script_are_found_whole() -> None:
    texts = list(addresses(20, 1))
    assert Counter(text.script for text in texts) == dict.fromkeys(ADDRESSES, 20)
    for text in texts:
        assert [tuple(span) for span in find(text.text)] == [("EMAIL", text.start, text.end)], text.text


def test_texts_without_personal_data_are_left_as_they_are() -> None:
    texts, hit = Counter[str](), Counter[str]()
    for what, text in harmless(500, 1):
        texts[what] += 1
        hit[what] += bool(find(text))
    assert set(texts) == {"numbers of parts and orders", "versions", "handles", "other numbers"}
    assert all(hit[what] <= 0.02 * count for what, count in texts.items()), hit


def test_secrets_are_found_whole() -> None:
    missed = [
        text
        for text, start, end in with_secrets(220, 1)
        if not any(f.kind == "SECRET" and f.start <= start and end <= f.end for f in find(text))
    ]
    assert len(missed) <= 2, missed


@pytest.mark.parametrize(("signed", "least"), [(False, 0.95), (True, 0.8)])
def test_phone_numbers_as_people_write_them_are_found(signed: bool, least: float) -> None:
    texts = list(written_phones(signed))
    assert all(text[start:end].strip("(+")[0].isdigit() for _, text, start, end in texts)
    hits = sum(any(f.kind == "PHONE" and f.start < end and start < f.end for f in find(text)) for _, text, start, end in texts)
    assert hits >= least * len(texts)
