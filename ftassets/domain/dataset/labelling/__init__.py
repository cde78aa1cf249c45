"""Labelling batches: which requests people should answer, in their tool's format, and back."""

from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from ftassets.domain.canonical import digest_of
from ftassets.domain.dataset.labelling.fields import Parsed
from ftassets.domain.dataset.labelling.select import Item
from ftassets.domain.file_formats import LABELS
from ftassets.errors import InvalidInput


def batch_id(items: Sequence[Item]) -> str:
    """The id of a batch: a digest of the requests in it, and why each of them is."""
    return digest_of(sorted([item.request_id, item.why] for item in items))[:12]


def to_text(items: Sequence[Item], format: str) -> str:
    """The batch in a tool's format, each record with the batch's id. Raises InvalidInput for an unknown format."""
    text: str = _module(format).to_text(items, batch_id(items))
    return text


def parse(text: str, format: str) -> Parsed:
    """Labels of a tool's export, and its records without a usable label. Raises InvalidInput for an unknown format or invalid text."""
    parsed: Parsed = _module(format).parse(text)
    return parsed


def _module(format: str) -> ModuleType:
    if format not in LABELS:
        raise InvalidInput(f"there is no labelling format {format!r}; there is: {', '.join(LABELS)}")
    return import_module(LABELS[format].reader)
