"""Rows that a training cannot teach: how many there are, why, and when they are too many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ftassets.wording import amount

Row = TypeVar("Row")


@dataclass(frozen=True)
class TaughtRows(Generic[Row]):
    """The rows that are taught, the number of others by reason, and the class of each that is taught if it is needed."""

    kept: Sequence[Row]
    left_out: Mapping[str, int] = field(default_factory=dict)
    classes: Sequence[str] = ()

    @property
    def total(self) -> int:
        """All rows."""
        return len(self.kept) + sum(self.left_out.values())


def left_out_objection(rows: TaughtRows[Row], most: float) -> str | None:
    """Why a training with these rows should not start, if more than the share `most` of them is left out; None if it may."""
    count = sum(rows.left_out.values())
    if not rows.kept:
        return "none of the rows can be taught: raise train.max_length above the longest, or shorten the rows"
    if count <= most * rows.total:
        return None
    reason = max(rows.left_out, key=lambda each: rows.left_out[each])
    return (
        f"{count} of {amount(rows.total, 'row is', 'rows are')} left out, more than train.max_left_out {most:g} ({reason}): raise "
        "train.max_length, shorten the rows, or raise max_left_out if the training may do without them"
    )
