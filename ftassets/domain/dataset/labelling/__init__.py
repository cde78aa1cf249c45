"""Labelling batches: which requests people should answer, in their tool's format, and back."""

from collections.abc import Callable, Sequence

from ftassets.domain.dataset.labelling import argilla, jsonl, label_studio
from ftassets.domain.dataset.labelling.fields import Parsed
from ftassets.domain.dataset.labelling.select import Item
from ftassets.errors import InvalidInput

FORMATS: dict[str, tuple[Callable[[Sequence[Item]], str], Callable[[str], Parsed]]] = {
    "jsonl": (jsonl.to_text, jsonl.parse),
    "argilla": (argilla.to_text, argilla.parse),
    "label_studio": (label_studio.to_text, label_studio.parse),
}


def to_text(items: Sequence[Item], format: str) -> str:
    """The batch in a tool's format. Raises InvalidInput for an unknown one."""
    return _known(format)[0](items)


def parse(text: str, format: str) -> Parsed:
    """Labels of a tool's export, and its records without a usable label. Raises InvalidInput for an unknown format or invalid text."""
    return _known(format)[1](text)


def _known(format: str) -> tuple[Callable[[Sequence[Item]], str], Callable[[str], Parsed]]:
    if format not in FORMATS:
        raise InvalidInput(f"there is no labelling format {format!r}; there is: {', '.join(FORMATS)}")
    return FORMATS[format]
