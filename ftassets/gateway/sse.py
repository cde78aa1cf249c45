"""Server-sent events: bytes of any size in, whole events out."""

from collections.abc import Iterator


class Events:
    """Cuts a stream of chunks into the data of its events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Data of the events this chunk completes; comments and other fields are dropped."""
        *whole, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            lines = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield b"\n".join(lines)


def event(data: bytes) -> bytes:
    """One event."""
    return b"data: " + data + b"\n\n"
