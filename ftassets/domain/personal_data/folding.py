"""A text as patterns read it: ASCII digits, spaces, dashes and letters whatever the script, and where each character stood before."""

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from ftassets.domain.personal_data.spans import Span

_DEPTH = 4  # JSON in JSON in JSON: escapes are undone so many times
_ESCAPE = re.compile(  # of JSON and source code, of URLs, of HTML
    r"\\(?:u(?P<json>[0-9A-Fa-f]{4})|x(?P<byte>[2-7][0-9A-Fa-f])|u\{(?P<code>[0-9A-Fa-f]{1,5})\}|(?P<control>[nrtbf\"'/\\]))|%(?P<url>[2-7][0-9A-Fa-f])"
    r"|&(?:#(?P<decimal>[0-9]{2,4})|#[xX](?P<hex>[0-9A-Fa-f]{2,4})|(?P<name>commat|plus|nbsp|amp|period|colon|sol));"
)
_CONTROL = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_NAMED = {"commat": "@", "plus": "+", "nbsp": " ", "amp": "&", "period": ".", "colon": ":", "sol": "/"}
_SAME_AS = {
    "−": "-", "ー": "-", "ｰ": "-", "∕": "/", "⁄": "/", "·": ".", "•": ".", "․": ".", "∶": ":", "꞉": ":",
}  # fmt: skip


class _Table(dict[int, int | str | None]):
    """For `str.translate`: what a character is read as, None if it is left out; worked out when it is first met."""

    def __missing__(self, code: int) -> int | str | None:
        self[code] = read = _read(chr(code))
        return read


def _read(char: str) -> int | str | None:
    if char in _SAME_AS or char.isascii():
        return _SAME_AS.get(char, char)
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category in ("Zs", "Pd"):
        return " " if category == "Zs" else "-"
    if category == "Cf" or unicodedata.name(char, "").startswith("VARIATION SELECTOR"):  # no width: joiners, marks of direction
        return None
    plain = unicodedata.normalize("NFKC", char)
    return plain if category != "No" and len(plain) == 1 and plain.isascii() else char


_TABLE = _Table()


class Folded(NamedTuple):
    """A folded text; `starts` and `ends` are the places of its characters in the text before, None where nothing moved."""

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def back(self, span: Span) -> Span:
        """The span in the text before."""
        if self.starts is None or self.ends is None:
            return span
        return Span(span.kind, self.starts[span.start], self.ends[span.end - 1])


def folded(text: str) -> Folded:
    """The text with digits, spaces, dashes and wide letters as in ASCII, and without characters that have no width."""
    if text.isascii():
        return Folded(text)
    read = text.translate(_TABLE)
    if len(read) == len(text):
        return Folded(read)
    starts = [place for place, char in enumerate(text) if _TABLE[ord(char)] is not None]
    return Folded(read, starts, [place + 1 for place in starts])


def unescaped(text: str) -> Folded | None:
    """The text with the escapes of JSON, URLs and HTML undone, as far down as there are any, then folded; None without an escape."""
    starts: Sequence[int] = range(len(text))
    ends: Sequence[int] = range(1, len(text) + 1)
    plain = text
    for _ in range(_DEPTH):
        if (undone := _undone(plain)) is None:
            break
        plain, first, last = undone
        starts, ends = [starts[place] for place in first], [ends[place] for place in last]
    if plain is text:
        return None
    view = folded(plain)
    if view.starts is not None:
        starts, ends = [starts[place] for place in view.starts], [ends[place] for place in view.starts]
    return Folded(view.text, starts, ends)


def _character(escape: re.Match[str]) -> str:
    if code := escape["json"] or escape["byte"] or escape["code"] or escape["url"] or escape["hex"]:
        return chr(int(code, 16))
    if escape["decimal"]:
        return chr(int(escape["decimal"]))
    return _NAMED[escape["name"]] if escape["name"] else _CONTROL.get(escape["control"], escape["control"])


def _undone(text: str) -> tuple[str, list[int], list[int]] | None:
    """The text with its escapes undone once, and for each character the places of its first and its last one before."""
    parts: list[str] = []
    first: list[int] = []
    last: list[int] = []
    at = 0
    for match in _ESCAPE.finditer(text):
        parts += [text[at : match.start()], _character(match)]
        first += [*range(at, match.start()), match.start()]
        last += [*range(at, match.start()), match.end() - 1]
        at = match.end()
    if not parts:
        return None
    rest = range(at, len(text))
    return "".join([*parts, text[at:]]), [*first, *rest], [*last, *rest]
