"""Server-sent events: bytes of any size in, whole events out."""

import re
from collections.abc import Iterator

_END = re.compile(rb"\r\n|\n|\r")
LONGEST_LINE = 4_000_000  # bytes: each piece of a line is joined to what there is of it
_BOM = b"\xef\xbb\xbf"


class Events:
    """Cuts a stream of chunks into the data of its events, by https://html.spec.whatwg.org/multipage/server-sent-events.html.

    Lines may end in CR, LF or both. Comments and pings say nothing: they keep a connection open.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._type = b""
        self._first = True

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Data of the events that this chunk completes. Raises ValueError for a line without an end."""
        if len(self._rest) > LONGEST_LINE:
            raise ValueError(f"a line with more than {LONGEST_LINE:,} bytes")
        text = self._rest + chunk
        if self._first and len(text) >= len(_BOM):
            text, self._first = text.removeprefix(_BOM), False
        # a CR at the end may be half of a CRLF
        held = text[-1:] == b"\r"
        *lines, self._rest = _END.split(text[:-1] if held else text) if b"\r" in text else text.split(b"\n")
        if held:
            self._rest += b"\r"
        for line in lines:
            yield from self._line(line)

    def end(self) -> Iterator[bytes]:
        """Data of the last event, if the stream ended without the blank line after it."""
        yield from self._line(self._rest.rstrip(b"\r"))
        yield from self._line(b"")

    def _line(self, line: bytes) -> Iterator[bytes]:
        if line:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                self._data.append(value)
            elif name == b"event":
                self._type = value
            return
        data, kind = b"\n".join(self._data), self._type
        self._data, self._type = [], b""
        if data.strip() and kind != b"ping":
            yield data


def event(data: bytes) -> bytes:
    """One event."""
    return b"data: " + data + b"\n\n"
