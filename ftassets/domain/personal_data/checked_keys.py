"""Keys that carry their own proof: web tokens that a mail or a terminal broke over lines, and private keys of wallets, by checksum."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterator

from ftassets.domain.personal_data.spans import Span

# RFC 7519: base64url parts with dots between them; a line goes on behind white space, a quote's mark or a backslash
_BROKEN = re.compile(r"(?<![A-Za-z0-9_])eyJ[A-Za-z0-9_.-]{4,4096}(?:[ \t]{0,8}\\?\r?\n[ \t>|]{0,16}[A-Za-z0-9_.-]{1,4096}){1,200}")
_RUN = re.compile(r"[A-Za-z0-9_.-]+")
_SIGNATURES = {"HS256": 43, "HS384": 64, "HS512": 86, "ES256": 86, "ES256K": 86, "ES384": 128, "ES512": 176, "EdDSA": 86}  # RFC 7518
_SHORTEST_RSA = 342  # characters of a signature by 2,048 bits; longer keys give longer ones
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"  # of base58
_DIGITS = {char: value for value, char in enumerate(_ALPHABET)}
# Bitcoin's wallet import format, its extended keys (BIP 32, 49, 84) and its encrypted ones (BIP 38): length in bytes without the checksum
_WALLET = re.compile(
    rf"(?<![A-Za-z0-9])(?:[59][{_ALPHABET}]{{50}}|[KLc][{_ALPHABET}]{{51}}|6P[{_ALPHABET}]{{56}}|[xyztuv]prv[{_ALPHABET}]{{107}})(?![A-Za-z0-9])"
)
_SHORTEST_KEY = 50  # characters, but for one
_LONG = re.compile(f"[A-Za-z0-9]{{{_SHORTEST_KEY}}}")
_CHECKSUM = 4  # bytes


def checked_keys(text: str) -> Iterator[Span]:
    """SECRET: web tokens over several lines, and private keys of Bitcoin with a right checksum."""
    if "eyJ" in text and "\n" in text:
        for match in _BROKEN.finditer(text):
            if end := _end_of_token(text, match):
                yield Span("SECRET", match.start(), end)
    if len(text) > _SHORTEST_KEY and _LONG.search(text):
        yield from (Span("SECRET", *match.span()) for match in _WALLET.finditer(text) if _is_checked(match[0]))


def _end_of_token(text: str, match: re.Match[str]) -> int | None:
    """Where a token ends: on the line where its signature is as long as its algorithm's; None without the header of one."""
    token, width, found = "", 0, None
    for run in _RUN.finditer(text, match.start(), match.end()):
        token += run[0]
        header, *rest = token.split(".")
        found = found or (_algorithm(header) if rest else None)
        size = len(run[0])
        if found and len(rest) > 1:
            signature = len(rest[-1])
            rsa = found not in _SIGNATURES  # of any length: a line as long as the one before it goes on
            if signature >= (_SHORTEST_RSA if rsa else _SIGNATURES[found]) and not (rsa and size == width):
                return run.end()
        width = size
    return match.end() if found else None


def _algorithm(header: str) -> str | None:
    try:
        read = json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    return str(read["alg"]) if isinstance(read, dict) and "alg" in read else None


def _is_checked(key: str) -> bool:
    """Whether a text in base58 ends in the beginning of the SHA-256 of the SHA-256 of the rest (Base58Check)."""
    number = 0
    for char in key:
        number = number * 58 + _DIGITS[char]
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return hashlib.sha256(hashlib.sha256(data[:-_CHECKSUM]).digest()).digest()[:_CHECKSUM] == data[-_CHECKSUM:]
