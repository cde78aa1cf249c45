"""Tables: Dagster's own for asset metadata, which the UI shows in place, and Markdown for pages and long texts."""

import math
import re
from collections.abc import Iterable, Sequence

import dagster as dg

from ftassets.domain.chat import Asked, text_of
from ftassets.domain.personal_data.texts import scrubbed_text

_LAST, _BEFORE = 300, 150  # characters of a request that are shown
_QUOTED = re.compile(r"(?<!control token )'[^']{1,500}'|\"[^\"]{1,500}\"")
_DIGEST = re.compile(r"\b[0-9a-f]{40,64}\b")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> dg.MetadataValue:
    """A table for the metadata pane, floats rounded to three decimals, digests shortened; without rows it is the text `none`."""
    lines = [[_value(cell) for cell in row] for row in rows]
    if not lines:
        return dg.MetadataValue.text("none")
    columns = [dg.TableColumn(name, _type([line[place] for line in lines])) for place, name in enumerate(head)]
    records = [dg.TableRecord(dict(zip(head, line, strict=True))) for line in lines]
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; cells are shown with `str`, floats with three decimals, pipes and line breaks escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines.extend("| " + " | ".join(_cell(value) for value in row) + " |" for row in rows)
    return "\n".join(lines)


def request_cell(asked: Asked) -> str:
    """A request that somebody of the team wrote as a table shows it: the last message, then the end of what stands before it, both
    shortened and without personal data. What users wrote is named by its id only: nothing can be taken out of Dagster's event log.
    """
    last, before = scrubbed_text(asked.last_text), asked.messages[:-1]
    shown = last if len(last) <= _LAST else last[:_LAST].rstrip() + " ..."
    if not before:
        return shown
    earlier = " / ".join(scrubbed_text(text_of(before)).split("\n"))
    return f"{shown} (after: {earlier if len(earlier) <= _BEFORE else '... ' + earlier[-_BEFORE:].lstrip()})"


def answer_cell(text: str) -> str:
    """An answer to such a request as a table shows it."""
    return scrubbed_text(text)


def without_quotes(reason: str) -> str:
    """A reason as a table shows it where it may quote a user; the name of a control token is shown."""
    return _QUOTED.sub("'...'", reason)


def shortened(text: str) -> str:
    """The text with each digest and commit cut to 12 characters: a longer word widens the whole metadata pane."""
    return _DIGEST.sub(lambda found: found[0][:12], text)


def _value(cell: object) -> str | int | float | bool:
    if isinstance(cell, float):
        return round(float(cell), 3) if math.isfinite(cell) else str(cell)  # NaN is no JSON
    return cell if isinstance(cell, int) else shortened(str(cell))


def _type(cells: Sequence[object]) -> str:
    kinds = {type(cell).__name__ for cell in cells}
    return kinds.pop().replace("str", "string") if len(kinds) == 1 else "string"


def _cell(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
