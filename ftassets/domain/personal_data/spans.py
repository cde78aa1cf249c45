"""Places in a text that hold something of a kind, and the text without them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """Characters start to end (exclusive) of a text, and what they are, for example EMAIL."""

    kind: str
    start: int
    end: int


Finder = Callable[[str], list[Span]]


def redact(text: str, spans: Iterable[Span]) -> str:
    """The text with each span replaced by its kind, for example `<EMAIL>`; of overlapping spans only the longest counts."""
    parts, last = [], 0
    for span in resolved(spans):
        parts += [text[last : span.start], f"<{span.kind}>"]
        last = span.end
    return "".join([*parts, text[last:]])


def resolved(spans: Iterable[Span]) -> list[Span]:
    """The spans in order of place, without those that overlap a longer one, or an earlier one of the same length."""
    spans = list(spans)
    if len(spans) < 2:
        return spans
    taken = bytearray(max(span.end for span in spans))
    kept = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, s.start)):
        if taken.find(1, span.start, span.end) < 0:
            taken[span.start : span.end] = b"\1" * (span.end - span.start)
            kept.append(span)
    return sorted(kept, key=lambda s: s.start)
