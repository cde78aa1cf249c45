"""The table of stored documents in `docs/data-model.md`, from `domain/formats.py`."""

import re

from ftassets.domain.formats import KINDS
from ftassets.reporting.tables import markdown_table


def table() -> str:
    """One row a kind of document."""
    rows = [
        (f"`{kind.name}`", _plain(kind.place), kind.version, kind.number, _plain(kind.writer), _plain(kind.readers))
        for kind in KINDS.values()
    ]
    return markdown_table(["kind", "place", "format", "where the number is", "written by", "read by"], rows)


def _plain(text: str) -> str:
    """Text without code marks around commands: a command in it is a name here, not something to try."""
    return re.sub(r"`ftassets ([^`]*)`", r"\1", text)
