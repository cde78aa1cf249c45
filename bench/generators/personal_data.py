"""Sentences of 36 locales with personal data in them, in native scripts, and sentences with numbers that are none.

Values come from faker's providers of the locale, sentences were written for it. What a value is and where it stands is known from here
alone: nothing of `ftassets` is asked.
"""

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.generators.sentences import HANDLES, ORDER_FORMS, ORDER_WORDS, OTHERS, SENTENCES, VERSION_FORMS, VERSIONS

LOCALES = tuple(SENTENCES)
SCRIPTS = {
    "ar_AE": "Arabic",
    "fa_IR": "Arabic",
    "bg_BG": "Cyrillic",
    "ru_RU": "Cyrillic",
    "uk_UA": "Cyrillic",
    "bn_BD": "Bengali",
    "el_GR": "Greek",
    "he_IL": "Hebrew",
    "hi_IN": "Devanagari",
    "ja_JP": "Japanese",
    "ko_KR": "Korean",
    "th_TH": "Thai",
    "zh_CN": "Chinese",
    "zh_TW": "Chinese",
}
_DIGITS = {"ar_AE": 0x660, "fa_IR": 0x6F0, "bn_BD": 0x9E6, "hi_IN": 0x966, "th_TH": 0xE50}  # zero of the locale's own digits
_WIDE = ("ja_JP", "ko_KR", "zh_CN", "zh_TW")
_DIRECTION = {"ar_AE": "\u200e", "fa_IR": "\u200e", "he_IL": "\u200e"}  # the mark that phones put before a number
_SEPARATORS = ("\u00a0", "\u2013", "  ", "\u2011", " - ", ".", "\u3000", "\u2009", "/")


class Personal(NamedTuple):
    """A text of a locale, and where the value of a kind stands in it."""

    text: str
    locale: str
    kind: str
    start: int
    end: int

    @property
    def script(self) -> str:
        """The script of the sentence."""
        return SCRIPTS.get(self.locale, "Latin")


def personal(locale: str, each: int, faker: Any, seed: int) -> Iterator[Personal]:
    """Texts of a locale: twice `each` with phone numbers, `each` with every other kind; `faker` is one for this locale."""
    rng = random.Random(f"{locale}:{seed}")
    faker.seed_instance(seed)
    phone_of, call, mail, card, account, server = SENTENCES[locale]
    for _ in range(each):
        for sentence in (phone_of, call):
            number = faker.phone_number()
            while sum(char.isdigit() for char in number) < 7:  # 999 and the like are nobody's
                number = faker.phone_number()
            yield _placed(sentence, _written(_separated(number, rng), locale, rng), locale, "PHONE")
        yield _placed(mail, _wide(faker.ascii_email(), locale, rng), locale, "EMAIL")
        yield _placed(card, _written(_grouped(_card(rng), rng), locale, rng), locale, "CARD")
        code = iban(rng)
        yield _placed(
            account,
            _wide(" ".join(code[n : n + 4] for n in range(0, len(code), 4)) if rng.random() < 0.5 else code, locale, rng),
            locale,
            "IBAN",
        )
        address = faker.ipv4() if rng.random() < 0.6 else faker.ipv6()
        yield _placed(server, _written(address, locale, rng, digits=":" not in address), locale, "IP")


def _placed(sentence: str, value: str, locale: str, kind: str) -> Personal:
    before, after = sentence.split("{}")
    return Personal(before + value + after, locale, kind, len(before), len(before) + len(value))


def _separated(number: str, rng: random.Random) -> str:
    """The number, half of the time with another separator where it has a space or a dash."""
    if rng.random() < 0.5:
        return number
    other = rng.choice(_SEPARATORS)
    if other == "/":  # between area code and number only
        place = next((n for n, char in enumerate(number) if char in " -" and n > 1), -1)
        return number[:place] + "/" + number[place + 1 :] if place > 0 else number
    return "".join(other if char in " -" else char for char in number)


def _written(value: str, locale: str, rng: random.Random, digits: bool = True) -> str:
    """The value as people of the locale may write it: own or wide digits, a mark of direction."""
    if zero := _DIGITS.get(locale) if digits and rng.random() < 0.5 else None:
        value = "".join(chr(zero + int(char)) if char.isascii() and char.isdigit() else char for char in value)
    elif digits:
        value = _wide(value, locale, rng)
    return _DIRECTION.get(locale, "") + value if rng.random() < 0.3 else value


def _wide(value: str, locale: str, rng: random.Random) -> str:
    if locale not in _WIDE or rng.random() < 0.6:
        return value
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else "\u3000" if char == " " else char for char in value)


def _card(rng: random.Random) -> str:
    """Visa, Mastercard, American Express or Discover with a check digit (ISO/IEC 7812)."""
    begin, length = rng.choice([("4", 16), (str(rng.randint(51, 55)), 16), (rng.choice(["34", "37"]), 15), ("6011", 16)])
    digits = [int(char) for char in begin] + [rng.randrange(10) for _ in range(length - len(begin) - 1)]
    total = sum(2 * digit - 9 * (digit > 4) if n % 2 == 0 else digit for n, digit in enumerate(reversed(digits)))
    return "".join(map(str, digits)) + str(-total % 10)


def _grouped(number: str, rng: random.Random) -> str:
    separator = rng.choice(["", " ", "-", "\u00a0", "\u2013", "  ", "\u3000", "/"])
    parts = [number[:4], number[4:10], number[10:]] if len(number) == 15 else [number[n : n + 4] for n in range(0, 16, 4)]
    return separator.join(parts)


_ACCOUNTS = (
    ("DE", "9" * 18),
    ("GB", "A" * 4 + "9" * 14),
    ("FR", "9" * 20 + "X99"),
    ("NL", "A" * 4 + "9" * 10),
    ("PL", "9" * 24),
    ("TR", "9" * 22),
    ("SA", "99" + "X" * 18),
)


def iban(rng: random.Random) -> str:
    """A German, British, French, Dutch, Polish, Turkish or Saudi account number with its check digits (ISO 13616)."""
    country, form = rng.choice(_ACCOUNTS)
    kinds = {"9": "0123456789", "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "X": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"}
    account = "".join(rng.choice(kinds[char]) for char in form)
    check = 98 - int("".join(str(int(char, 36)) for char in account + country + "00")) % 97
    return f"{country}{check:02d}{account}"


def harmless(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Texts without personal data, each with what it is about: numbers of parts and orders, versions, handles, others."""
    rng = random.Random(seed)
    names = ["anna_b", "dev.ops", "maria92", "the_real_bob", "x9k", "user_4711", "lee-1988", "kim2003"]
    for _ in range(count):
        yield "numbers of parts and orders", rng.choice(ORDER_WORDS).format(_filled(rng.choice(ORDER_FORMS), rng))
        yield "versions", rng.choice(VERSIONS).format(_filled(rng.choice(VERSION_FORMS), rng))
        yield "handles", rng.choice(HANDLES).format(rng.choice(names))
        text = rng.choice(OTHERS).replace("{hex40}", f"{rng.getrandbits(160):040x}")
        if "{uuid}" in text:
            code = f"{rng.getrandbits(128):032x}"
            text = text.replace("{uuid}", f"{code[:8]}-{code[8:12]}-{code[12:16]}-{code[16:20]}-{code[20:]}")
        yield "other numbers", _filled(text, rng, letters=False)


def _filled(form: str, rng: random.Random, letters: bool = True) -> str:
    return "".join(
        rng.choice("0123456789") if char == "#" else rng.choice("ABCDEFGHJKLMNPRSTUVWXYZ") if letters and char == "A" else char
        for char in form
    )


_ALNUM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_URL_SAFE, _UPPER, _HEX, _LETTERS = _ALNUM + "-_", _ALNUM[:26] + "0123456789", "0123456789abcdef", _ALNUM[:52]
# how the issuers document their secrets: the fixed beginning, then so many characters of an alphabet
_SECRETS: tuple[tuple[tuple[str, int, str], ...], ...] = (
    (("AKIA", 16, _UPPER),),
    (("ghp_", 36, _ALNUM),),
    (("github_pat_", 22, _ALNUM), ("_", 59, _ALNUM)),
    (("glpat-", 20, _URL_SAFE),),
    (("sk-proj-", 64, _URL_SAFE),),
    (("sk-ant-api03-", 93, _URL_SAFE),),
    (("sk-", 48, _ALNUM),),
    (("sk_live_", 24, _ALNUM),),
    (("rk_test_", 24, _ALNUM),),
    (("xoxb-", 12, "0123456789"), ("-", 12, "0123456789"), ("-", 24, _ALNUM)),
    (("AIza", 35, _URL_SAFE),),
    (("hf_", 34, _LETTERS),),
    (("dckr_pat_", 27, _URL_SAFE),),
    (("dp.pt.", 43, _ALNUM),),
    (("sntrys_eyJ", 120, _ALNUM),),
    (("nvapi-", 64, _URL_SAFE),),
    (("npm_", 36, _ALNUM),),
    (("pypi-AgEIcHlwaS5vcmc", 120, _URL_SAFE),),
    (("SG.", 22, _URL_SAFE), (".", 43, _URL_SAFE)),
    (("SK", 32, _HEX),),
    (("dapi", 32, _HEX),),
    (("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ", 80, _URL_SAFE), (".", 43, _URL_SAFE)),
    (("shpat_", 32, _HEX),),
    (("GOCSPX-", 28, _URL_SAFE),),
    (
        ("-----BEGIN RSA PRIVATE KEY-----\nMII", 64, _ALNUM + "+/"),
        ("\n", 64, _ALNUM + "+/"),
        ("\n", 40, _ALNUM + "+/"),
        ("==\n-----END RSA PRIVATE KEY-----", 0, ""),
    ),
    (
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk", 55, _ALNUM),
        ("\n", 70, _ALNUM),
        ("\n-----END OPENSSH PRIVATE KEY-----", 0, ""),
    ),
)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _wallet_key(rng: random.Random) -> str:
    """A private key of Bitcoin in its wallet import format."""
    key = b"\x80" + rng.randbytes(32) + (b"\1" if rng.random() < 0.5 else b"")
    key += hashlib.sha256(hashlib.sha256(key).digest()).digest()[:4]
    number, written = int.from_bytes(key, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        written = _BASE58[digit] + written
    return written


def _broken_token(rng: random.Random) -> str:
    """A JSON web token that is broken over lines of equal length."""
    algorithm, size = rng.choice([("HS256", 32), ("ES256", 64), ("RS256", 256), ("RS512", 512)])
    parts = (
        json.dumps({"alg": algorithm}).encode(),
        json.dumps({"sub": rng.randbytes(rng.randint(8, 90)).hex()}).encode(),
        rng.randbytes(size),
    )
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    width = rng.choice([60, 64, 76])
    return rng.choice(["\n", "\r\n", "\n  "]).join(token[start : start + width] for start in range(0, len(token), width))


_SECRET_WORDS = (
    "my key is {} and it fails",
    "curl -H 'Authorization: Bearer {}' https://api.example.com",
    "export TOKEN={}",
    '{{"auth": "{}"}}',
    "我的密钥是{}请检查",
    "ключ {} не работает",
)


def with_secrets(count: int, seed: int) -> Iterator[tuple[str, int, int]]:
    """Texts with a secret, and where it stands."""
    rng = random.Random(seed)
    kinds = len(_SECRETS) + 2
    for n in range(count):
        kind = n % kinds
        if kind < len(_SECRETS):
            value = "".join(begin + "".join(rng.choice(alphabet) for _ in range(length)) for begin, length, alphabet in _SECRETS[kind])
        else:
            value = _wallet_key(rng) if kind == len(_SECRETS) else _broken_token(rng)
        before, after = rng.choice(_SECRET_WORDS).replace("{{", "{").replace("}}", "}").split("{}")
        yield before + value + after, len(before), len(before) + len(value)
