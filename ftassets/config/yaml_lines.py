"""Lines of the values of a YAML text, so that a message about a field can name its line."""

from collections.abc import Iterator, Mapping

import yaml

Place = tuple[str | int, ...]  # keys and positions from the document down to a value


def lines_of(document: yaml.Node) -> dict[Place, int]:
    """Line, from 1, of each key and each list item of a document; that of the document itself under ().

    No alias may contain itself.
    """
    return dict(_walk(document, (), document.start_mark.line + 1))


def line_of(lines: Mapping[Place, int], place: Place) -> int:
    """Line of a place; of one that is not in the file, that of the nearest value above it."""
    while place not in lines:
        place = place[:-1]
    return lines[place]


def repeated_keys(document: yaml.Node) -> Iterator[tuple[Place, int]]:
    """Place and line of each key that its mapping has already: YAML keeps only the last one."""
    seen: set[Place] = set()
    for place, line in _walk(document, (), document.start_mark.line + 1):
        if place in seen:
            yield place, line
        seen.add(place)


def _walk(node: yaml.Node, place: Place, line: int) -> Iterator[tuple[Place, int]]:
    yield place, line
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _walk(value, (*place, key.value), key.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(value, (*place, number), value.start_mark.line + 1)
