"""Stored JSON: reading it, and bytes and digests that do not depend on key order or process."""

import hashlib
import json
import math
import unicodedata
from collections import Counter
from typing import Any, NoReturn

DEEPEST = 100  # levels of lists and objects


def parse_json(text: bytes | str, **hooks: Any) -> Any:
    """The value of a JSON text. Raises ValueError, also when it is nested more than DEEPEST levels deep: Python would fail on it later.

    `hooks` are those of `json.loads`.
    """
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        if not level:
            break
        level = [child for each in level if isinstance(each, dict | list) for child in (each.values() if isinstance(each, dict) else each)]
    if any(isinstance(each, dict | list) for each in level):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def read_json(text: bytes | str) -> Any:
    """The value of a JSON text that somebody else wrote. Raises ValueError for what readers of JSON do not agree on.

    That is a key that an object has twice, NaN and Infinity, and a number too large for a double (RFC 8259, sections 4 and 6). A number
    without a fraction is an int however it is written: 1, 1.0 and 1e0 are one number, which is neither true nor "1".
    """
    return parse_json(text, object_pairs_hook=keys_once, parse_constant=_constant, parse_float=_float, parse_int=_int)


def read_record(text: str) -> Any:
    """The value of a line of a file. Raises ValueError where a key is there twice; NaN may be in notes, which no model reads."""
    return parse_json(text, object_pairs_hook=keys_once)


def same_json(one: Any, other: Any) -> bool:
    """Whether two values of `read_json` are equal as JSON: keys in any order, strings in NFC, and 1 is not true."""
    return comparable_json(one) == comparable_json(other)


def comparable_json(value: Any) -> str:
    """A text that is the same for values that are equal as JSON, see `same_json`."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return text if unicodedata.is_normalized("NFC", text) else json.dumps(composed(value), sort_keys=True, ensure_ascii=False)


def composed(value: Any) -> Any:
    """A JSON value with all of its strings, keys too, in NFC."""
    if isinstance(value, dict):
        return {unicodedata.normalize("NFC", key): composed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [composed(item) for item in value]
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these members, as `json.loads` takes it for `object_pairs_hook`. Raises ValueError where a key is there twice."""
    members = dict(pairs)
    if len(members) == len(pairs) and all(map(str.isascii, members)):
        return members
    if len(set(map(composed, members))) < len(pairs):
        key, _ = Counter(composed(key) for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {key[:60]!r} is there twice")
    return members


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _float(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text[:20]}... is too large")
    return int(number) if number.is_integer() else number


def _int(text: str) -> int:
    _float(text)
    return int(text)


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: half of a surrogate pair, which JSON may hold as an escape, cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces; raises ValueError on NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the value's canonical JSON."""
    return digest_of_bytes(canonical_json(value))
