"""The tables of other tools' file formats in `docs/data.md`, from `domain/file_formats.py`."""

from ftassets.domain.file_formats import EXPORTS, LABELS, ROWS, TRAFFIC, FileFormat
from ftassets.reporting.tables import markdown_table


def traffic() -> str:
    """One row a format that `import-traffic` and `adopt` read."""
    return _table(TRAFFIC)


def labels() -> str:
    """One row a format in which batches go out to annotators and come back."""
    return _table(LABELS)


def rows() -> str:
    """One row a form in which training rows may be written."""
    return _table(ROWS)


def exports() -> str:
    """One row a file that `export` writes for training elsewhere."""
    return _table(EXPORTS)


def _table(formats: dict[str, FileFormat]) -> str:
    rows = [
        (
            f"`{name}`",
            each.tool,
            "in" if not each.out else "out" if ":" in each.reader else "out and in",
            each.written_by,
            each.feedback,
            each.cannot_carry,
        )
        for name, each in formats.items()
    ]
    return markdown_table(["format", "tool", "direction", "what the file is", "feedback", "what it cannot carry"], rows)
