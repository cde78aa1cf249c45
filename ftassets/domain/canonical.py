"""Stored JSON: reading it, and bytes and digests that do not depend on key order or process."""

import hashlib
import json
from typing import Any

DEEPEST = 100  # levels of lists and objects


def parse_json(text: bytes | str) -> Any:
    """The value of a JSON text. Raises ValueError, also when it is nested more than DEEPEST levels deep: Python would fail on it later."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError(f"nested more than {DEEPEST} levels deep") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [child for each in level if isinstance(each, dict | list) for child in (each.values() if isinstance(each, dict) else each)]
    if any(isinstance(each, dict | list) for each in level):
        raise ValueError(f"nested more than {DEEPEST} levels deep")
    return value


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces; raises ValueError on NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_of(value: Any) -> str:
    """SHA-256 (hex) of the value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
