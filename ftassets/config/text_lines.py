"""Lines of files that people hand over: text, also packed by gzip."""

import gzip
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from ftassets.errors import InvalidInput

_GZIP = b"\x1f\x8b"
_UTF_32 = (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class NotUtf8(InvalidInput):
    """A file is text in another encoding, or damaged; the message says how to convert it."""


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, of one that gzip packed those inside. Raises NotUtf8, and OSError when the file cannot be read."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP
        file.seek(0)
        if not packed:
            yield from _checked(path, file)
            return
        try:
            with gzip.GzipFile(fileobj=file) as inner:
                yield from _checked(path, inner)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise NotUtf8(f"the gzip file {path} is damaged: {error}. Unpack it with `gzip -d` to see what is left") from error


def _checked(path: Path, file: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(file):
        if number == 0 and (encoding := _other_encoding(line)):
            raise NotUtf8(f"{path} is {encoding} text. Convert it: iconv -f {encoding} -t UTF-8 {path.name} > new_{path.name}")
        yield line


def _other_encoding(line: bytes) -> str | None:
    """The Unicode encoding that a byte order mark says, or the zero byte in the first two bytes."""
    if line.startswith(_UTF_32):
        return "UTF-32"
    if line.startswith(_UTF_16):
        return "UTF-16"
    if line[:1] == b"\0" and line[1:2].strip(b"\0"):
        return "UTF-16BE"
    return "UTF-16LE" if line[:1].strip(b"\0") and line[1:2] == b"\0" else None
