"""Reading files of examples that people wrote."""

from pathlib import Path

from ftassets.config.text_lines import NotUtf8, lines_of
from ftassets.domain.dataset.written import SEED, Written, written
from ftassets.domain.json_items import DamagedArray
from ftassets.errors import InvalidInput


class RowsUnreadable(InvalidInput):
    """A file of examples cannot be read; the message says why, and `line` where, if that is known."""

    line: int | None = None


def read_rows(path: Path, source: str) -> Written:
    """The rows of a file of JSON lines or of a JSON array, also packed by gzip.

    `source` is seed, golden or the name of a further set. Raises RowsUnreadable.
    """
    try:
        content = b"".join(lines_of(path))
    except OSError as error:
        raise RowsUnreadable(f"the {source} file {path} cannot be read: {error.strerror}") from error
    except NotUtf8 as error:
        raise RowsUnreadable(f"the {source} file cannot be read: {error}") from error
    try:
        text = content.decode(errors="surrogateescape" if source == SEED else "strict")  # of a seed such lines are quarantined
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        refused = RowsUnreadable(f"the {source} file {path} is not UTF-8 text (line {line}, byte {error.start}): save it as UTF-8")
        refused.line = line
        raise refused from error
    try:
        return written(text, source)
    except DamagedArray as error:
        refused = RowsUnreadable(f"the {source} file {path} cannot be read: {error}. Mend or remove this member")
        refused.line = error.line
        raise refused from error
    except InvalidInput as error:
        raise RowsUnreadable(f"the {source} file {path} cannot be read: {error}") from error
