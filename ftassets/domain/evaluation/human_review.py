"""Human review of a sample of the candidate's answers."""

import csv
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from ftassets.domain.formats import Stored
from ftassets.errors import InvalidInput

COLUMNS = ("report", "id", "prompt", "expected", "answer", "good")
_WORDS = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ReviewRefused(InvalidInput):
    """A review was rejected as a whole; the message names the invalid rows with their errors."""


class Given(BaseModel):
    """One person's review at one time: row id -> whether the answer is good."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: str
    at: float  # epoch seconds
    verdicts: dict[str, bool]


class Review(Stored):
    """All reviews of one report's sample, oldest first."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "human_review"

    report: str  # digest
    run_id: str  # of the run that made the report
    given: tuple[Given, ...] = ()

    @property
    def words(self) -> dict[str, dict[str, bool]]:
        """Row id -> person -> whether the answer is good to that person; a no stays, whatever the person says later.

        The verdict is known by then, and who may take words back until it is another one can pass anything.
        """
        said: dict[str, dict[str, bool]] = {}
        for given in self.given:
            for name, good in given.verdicts.items():
                of_row = said.setdefault(name, {})
                of_row[given.by] = good and of_row.get(given.by, True)
        return said

    def taken_back(self, given: Given) -> list[str]:
        """Rows that a person now calls good and called bad before, sorted."""
        words = self.words
        return sorted(name for name, good in given.verdicts.items() if good and not words.get(name, {}).get(given.by, True))

    @property
    def good(self) -> dict[str, bool]:
        """Row id -> whether all who saw the answer found it good."""
        return {name: all(by.values()) for name, by in self.words.items()}

    @property
    def people(self) -> list[str]:
        """Who reviewed, by name."""
        return sorted({given.by for given in self.given})


@dataclass(frozen=True)
class ReviewRow:
    """One answer of the sample to review."""

    id: str
    prompt: str
    expected: str
    answer: str


def to_csv(report: str, rows: Iterable[ReviewRow]) -> str:
    """A table for a spreadsheet, its column `good` still empty; `report` is the digest of the report the answers belong to."""
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow([report, row.id, *map(_as_text, (row.prompt, row.expected, row.answer)), ""])
    return out.getvalue()


def parse_csv(text: str, report: str, sample: Collection[str]) -> dict[str, bool]:
    """Row id -> good, of the rows in which `good` is filled in (yes/no, true/false, 1/0).

    Raises ReviewRefused when any row is not one of this report's sample or says something else; rows are numbered as a spreadsheet
    does, the header being row 1.
    """
    table = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    verdicts: dict[str, bool] = {}
    bad: list[str] = []
    try:
        if absent := [name for name in ("report", "id", "good") if name not in (table.fieldnames or ())]:
            raise ReviewRefused(f"row 1: no column {', '.join(absent)}; the file is comma-separated, with the columns of the export")
        for number, row in enumerate(table, start=2):
            word = (row["good"] or "").strip().lower()
            if row["report"] != report:
                bad.append(f"row {number}: of report {str(row['report'])[:12]!r}, the newest is {report[:12]}: export again")
            elif row["id"] not in sample:
                bad.append(f"row {number}: {row['id']!r} is not in the sample")
            elif row["id"] in verdicts:
                bad.append(f"row {number}: {row['id']!r} is there twice")
            elif word and word not in _WORDS:
                bad.append(f"row {number}: {word[:40]!r} is neither yes nor no")
            elif word:
                verdicts[row["id"]] = _WORDS[word]
    except csv.Error as error:
        raise ReviewRefused(f"line {table.line_num}: not a CSV file: {error}") from error
    if bad:
        more = f"\nand {len(bad) - 20} more" if len(bad) > 20 else ""
        raise ReviewRefused("nothing was stored:\n" + "\n".join(bad[:20]) + more)
    if not verdicts:
        raise ReviewRefused("nothing was stored: no row says yes or no in the column good")
    return verdicts


def _as_text(cell: str) -> str:
    """A cell that a spreadsheet does not run as a formula: what users write is data."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
