"""The strings in a JSON text: changed one by one, with all around them left as it was written."""

import json
import re
from collections.abc import Callable

TOKEN = re.compile(r'("(?:[^"\\]|\\.)*")([ \t\r\n]*:)?|-?[0-9][0-9.eE+-]*')  # of valid JSON: strings, whether they are keys, numbers


def is_json(text: str) -> bool:
    """Whether a text is a JSON document."""
    if text[:1].isalpha() and text[:4] not in ("true", "fals", "null", "NaN", "Infi"):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def as_token(text: str, match: re.Match[str]) -> str:
    """The string in place of a match of `TOKEN`, in ASCII where that was, with the colon behind it if it is a key."""
    return json.dumps(text, ensure_ascii=match[0].isascii()) + (match[2] or "")


def with_strings(document: str, change: Callable[[str], str]) -> str:
    """A JSON document with each of its strings, keys too, changed; what stays the same keeps its spelling."""

    def changed(match: re.Match[str]) -> str:
        if not match[1]:
            return match[0]
        text = json.loads(match[1])
        return match[0] if (new := change(text)) == text else as_token(new, match)

    return TOKEN.sub(changed, document)
