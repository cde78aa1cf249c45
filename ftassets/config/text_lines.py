"""Lines of files that people hand over: text in any Unicode encoding, also packed by gzip."""

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ftassets.errors import InvalidInput

_GZIP = b"\x1f\x8b"
_MARKS = ((b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class NotUtf8(InvalidInput):
    """A file is damaged, or its text is in an encoding that cannot be read; the message says what to do."""


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file in UTF-8, whatever Unicode encoding it has; of one that gzip packed those inside.

    Raises NotUtf8, and OSError when the file cannot be read.
    """
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            yield from _decoded(path, file)
            return
        try:
            with gzip.GzipFile(fileobj=file) as inner:
                yield from _decoded(path, io.BufferedReader(inner))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotUtf8(f"the gzip file {path} is damaged: {error}. Unpack it with `gzip -d` to see what is left") from error


def _decoded(path: Path, file: BinaryIO) -> Iterator[bytes]:
    encoding = _encoding(file.peek(4)[:4])  # type: ignore[attr-defined]
    if encoding is None:
        yield from file
        return
    try:
        # half a surrogate pair spoils its row, not the file
        for line in io.TextIOWrapper(file, encoding, errors="surrogatepass", newline="\n"):
            yield line.encode(errors="surrogatepass")
    except UnicodeError as error:
        raise NotUtf8(f"{path} is {encoding.upper()} text and damaged: {error}. Save it as UTF-8") from error


def _encoding(head: bytes) -> str | None:
    """The Unicode encoding other than UTF-8 that a byte order mark says, or the zero bytes of the first characters, which are ASCII."""
    marked = next((name for mark, name in _MARKS if head.startswith(mark)), None)
    if marked:
        return marked
    filled = [byte != 0 for byte in head]
    if filled == [True, False, False, False]:
        return "utf-32-le"
    if filled == [False, False, False, True]:
        return "utf-32-be"
    if filled[:2] == [True, False]:
        return "utf-16-le"
    return "utf-16-be" if filled[:2] == [False, True] else None
