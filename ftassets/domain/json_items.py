"""Files of JSON values: one value a line, an array of them, or documents over several lines, whichever the first characters say."""

import json
from collections.abc import Iterable, Iterator
from itertools import chain

from ftassets.errors import InvalidInput

MAX_DOCUMENT = 256 * 2**20  # bytes of an array or a document, which are read as a whole
_BOM = b"\xef\xbb\xbf"


def numbered_items(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each value as bytes, and the number of the line on which it begins, from 1; blank lines are skipped.

    An array gives its members, objects that are spread over lines, as printers of traces write them, give themselves. Lines are read one
    at a time unless the first begins such a document. A line that is not JSON is given as it is. Raises InvalidInput for an array that is
    not JSON.
    """
    numbered = enumerate(lines, start=1)
    for number, line in numbered:
        line = line.removeprefix(_BOM) if number == 1 else line
        if not line.strip():
            continue
        rest = ((n, text) for n, text in numbered if text.strip())
        if line.lstrip().startswith(b"["):
            yield from _members(number, chain([line], (text for _, text in numbered)))
        elif _goes_on(line):
            yield from _document_or_lines(number, line, numbered)
        else:
            yield number, line
            yield from rest
        return


def _goes_on(line: bytes) -> bool:
    """Whether a line ends in the middle of an object that may go on in the next line."""
    if not line.lstrip().startswith(b"{"):
        return False
    text = line.decode(errors="replace").rstrip()
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (ValueError, RecursionError):
        pass
    return False


def _document_or_lines(number: int, first: bytes, numbered: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Objects one after the other, if all lines together are such; else the lines: the first is cut off."""
    read, size = [(number, first)], len(first)
    for item in numbered:
        read.append(item)
        size += len(item[1])
        if size > MAX_DOCUMENT:
            break
    found = _documents(number, b"".join(text for _, text in read)) if size <= MAX_DOCUMENT else None
    if found is not None:
        yield from found
        return
    yield from ((n, text) for n, text in chain(read, numbered) if text.strip())


def _documents(number: int, whole: bytes) -> list[tuple[int, bytes]] | None:
    """The values of a text that is nothing but values, with their lines; None if it is not."""
    try:
        text = whole.decode()
    except UnicodeDecodeError:
        return None
    decoder, found = json.JSONDecoder(), []
    place, counted = _skip(text, 0), 0
    while place < len(text):
        number += text.count("\n", counted, place)
        counted = place
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        found.append((number, text[place:end].encode()))
        place = _skip(text, end)
    return found


def _members(number: int, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    read, size = [], 0
    for line in lines:
        read.append(line)
        size += len(line)
        if size > MAX_DOCUMENT:
            raise InvalidInput(f"the JSON array has more than {MAX_DOCUMENT // 2**20} MiB: write one value a line, as `jq -c '.[]'` does")
    text = b"".join(read).decode(errors="surrogateescape")
    decoder, counted = json.JSONDecoder(), 0
    place = _skip(text, text.index("[") + 1)
    while text[place : place + 1] != "]":
        number += text.count("\n", counted, place)
        counted = place
        try:
            _, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            raise InvalidInput(f"line {number}: the JSON array is cut off or damaged ({str(error)[:100]})") from error
        yield number, text[place:end].encode(errors="surrogateescape")
        place = _skip(text, end)
        if text[place : place + 1] == ",":
            place = _skip(text, place + 1)
        elif text[place : place + 1] != "]":
            raise InvalidInput(f"line {number}: the JSON array is cut off or damaged after this member")
    if text[place + 1 :].strip():
        raise InvalidInput("there is more in the file after the end of the JSON array")


def _skip(text: str, place: int) -> int:
    """The place of the next character that is not white space."""
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place
