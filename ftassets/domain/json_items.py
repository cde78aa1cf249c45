"""Files of JSON values: one value a line, an array of them, or documents over several lines, whichever the first characters say."""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

from ftassets.errors import InvalidInput

MAX_DOCUMENT = 256 * 2**20  # bytes of an array or a document, which are read as a whole
_SPACE = " \t\r\n"
_BOM = b"\xef\xbb\xbf"
_OBJECT = re.compile(r"^([ \t]*)\{", re.MULTILINE)  # a line that begins with one
_INNER = 2  # spaces before an object inside a member, at least
_SHOWN = 2_000  # characters of what is damaged
_DECODER = json.JSONDecoder(parse_int=str)  # finds where a value ends; Python refuses to read numbers of 4,300 digits


class DamagedArray(InvalidInput):
    """A JSON array is cut off or damaged; `line` says where, `content` has the beginning of what is not JSON."""

    def __init__(self, line: int, member: int, why: str, content: str) -> None:
        super().__init__(f"line {line}: the JSON array is cut off or damaged at member {member}: {why[:100]}")
        self.line, self.content = line, content[:_SHOWN].encode(errors="surrogateescape")


def numbered_items(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes | DamagedArray]]:
    """Each value as bytes, and the number of the line on which it begins, from 1; blank lines are skipped.

    An array gives its members, objects that are spread over lines, as printers of traces write them, give themselves. Lines are read one
    at a time unless the first begins such a document. A line that is not JSON is given as it is. Where an array is damaged, it gives
    a DamagedArray, then the next line that begins with an object and is not indented more than the first member. Raises
    InvalidInput for an array that is too large.
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
    found = []
    place, counted = _skip(text, 0), 0
    while place < len(text):
        number += text.count("\n", counted, place)
        counted = place
        try:
            _, end = _DECODER.raw_decode(text, place)
        except (ValueError, RecursionError):
            return None
        found.append((number, text[place:end].encode()))
        place = _skip(text, end)
    return found


def _members(number: int, lines: Iterable[bytes]) -> Iterator[tuple[int, bytes | DamagedArray]]:
    read, size = [], 0
    for line in lines:
        read.append(line)
        size += len(line)
        if size > MAX_DOCUMENT:
            raise InvalidInput(f"the JSON array has more than {MAX_DOCUMENT // 2**20} MiB: write one value a line, as `jq -c '.[]'` does")
    yield from _array(number, b"".join(read).decode(errors="surrogateescape").rstrip(_SPACE))


def _array(number: int, text: str) -> Iterator[tuple[int, bytes | DamagedArray]]:
    """The members of an array that begins on a line of this number; from the place on where it is damaged, what can still be read."""
    counted, member = 0, 0
    place = first = _skip(text, text.index("[") + 1)
    try:
        while text[place : place + 1] != "]":
            number += text.count("\n", counted, place)
            counted, member = place, member + 1
            _, end = _DECODER.raw_decode(text, place)
            yield number, text[place:end].encode(errors="surrogateescape")
            place = _skip(text, end)
            if text[place : place + 1] == ",":
                place = _skip(text, place + 1)
            elif text[place : place + 1] != "]":
                raise ValueError("no comma and no end after it")
        place = _skip(text, place + 1)
        if place < len(text):
            raise ValueError("there is more in the file after the end")
    except (ValueError, RecursionError) as error:
        number += text.count("\n", counted, place)
        yield from _behind_damage(number, member, str(error), text, place, _margin(text, first))


def _behind_damage(number: int, member: int, why: str, text: str, place: int, margin: int) -> Iterator[tuple[int, bytes | DamagedArray]]:
    """What is wrong at a place of an array, and the objects that begin a line behind it, at most `margin` characters in."""
    start, reported = place, False
    for found in _OBJECT.finditer(text, text.rfind("\n", 0, place) + 1):
        begin = found.end() - 1
        if begin < start or len(found[1]) > margin:
            continue
        try:
            _, end = _DECODER.raw_decode(text, begin)
        except (ValueError, RecursionError):
            continue
        if not reported or _filled(text[start:begin]):
            yield number, DamagedArray(number, member, why, text[start:begin])
        number += text.count("\n", start, begin)
        yield number, text[begin:end].encode(errors="surrogateescape")
        start, reported, member, why = _skip(text, end), True, member + 1, "this is not an object that begins a line"
        number += text.count("\n", begin, start)
    if not reported or _filled(text[start:]):
        yield number, DamagedArray(number, member, why, text[start:])


def _margin(text: str, first: int) -> int:
    """How far in members may begin: as the first one, or, if that is on a line with the bracket, less than an object inside of one."""
    before = text[text.rfind("\n", 0, first) + 1 : first]
    return len(before) if not before.strip() else _INNER - 1


def _filled(rest: str) -> bool:
    return bool(rest.strip(f"{_SPACE},]"))


def _skip(text: str, place: int) -> int:
    """The place of the next character that is not white space."""
    while place < len(text) and text[place] in _SPACE:
        place += 1
    return place
