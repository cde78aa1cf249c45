"""Which class an answer names where another is expected."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ftassets.domain.evaluation.scoring import Score

Table = Counter[tuple[str, str]]  # (expected class, class of the answer) -> rows

WIDEST = 8  # classes up to which the whole table is shown
TOP = 30  # confusions shown, whatever the number of classes


class Recall(NamedTuple):
    """One class: its rows, and how many of them each model's answer names it."""

    label: str
    rows: int
    candidate: int
    production: int


class Confusion(NamedTuple):
    """Rows of a class for which the answer names another one, by model."""

    expected: str
    named: str
    candidate: int
    production: int


def confusion(scores: Sequence[Score]) -> Table:
    """Rows by expected class and class of the answer, of rows that were scored with classes."""
    return Counter((each.expected, each.predicted) for each in scores if each.expected is not None and each.predicted is not None)


def recalls(candidate: Table, production: Table) -> list[Recall]:
    """The recall of each expected class, most rows first."""
    rows = Counter[str]()
    for (expected, _), count in candidate.items():
        rows[expected] += count
    return [Recall(label, n, candidate[label, label], production[label, label]) for label, n in sorted(rows.items(), key=_most)]


def confusions(candidate: Table, production: Table, most: int = TOP) -> tuple[list[Confusion], int]:
    """Mistakes of either model, those of most rows first, at most so many; and how many there are that are not listed."""
    both = candidate + production
    wrong = sorted(((cell, count) for cell, count in both.items() if cell[0] != cell[1]), key=lambda each: (-each[1], each[0]))
    return [Confusion(*cell, candidate[cell], production[cell]) for cell, _ in wrong[:most]], max(len(wrong) - most, 0)


def columns(*tables: Table) -> list[str] | None:
    """The classes of a whole table, in alphabetical order; None if there are too many to show."""
    found = sorted({label for table in tables for cell in table for label in cell})
    return found if len(found) <= WIDEST else None


def _most(each: tuple[str, int]) -> tuple[int, str]:
    return -each[1], each[0]
