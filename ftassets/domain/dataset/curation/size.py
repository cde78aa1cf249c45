"""Whether there are enough rows for what is taught."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ftassets.domain.dataset.curation.step import Pool, StepOutcome
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import Dataset, LoopConfig

GOALS = {"style": (200, 500), "vocabulary": (500, 1_500), "task": (1_000, 5_000), "instruction": (2_000, 10_000)}
PLENTY = 10_000  # rows from which quality counts more than volume


class SizeVerdict(StrEnum):
    """What the number of rows allows."""

    OK = "OK"
    WARN = "WARN"
    REFUSED = "REFUSED"


@dataclass(frozen=True)
class Preflight:
    """Rows of the dataset against the usual range `low`..`high` of its goal; the sentence says it for people."""

    verdict: SizeVerdict
    rows: int
    low: int
    high: int
    sentence: str


def check_size(pool: Pool, loop: "LoopConfig") -> StepOutcome:
    """Drop nothing; the result is the pre-flight verdict."""
    return StepOutcome(result=preflight(len(pool.index), loop.dataset))


def preflight(rows: int, dataset: "Dataset") -> Preflight:
    """Verdict on a number of rows: refused below what is asked for, a warning within the goal's range or where the loop lowered it."""
    low, high = GOALS[dataset.goal]
    needed = low if dataset.min_rows is None else dataset.min_rows
    usual = f"a {dataset.goal} goal usually needs {low:,} to {high:,}"
    if rows < needed:
        asked = usual if needed == low else f"the loop asks for {needed:,}; {usual}"
        return Preflight(
            SizeVerdict.REFUSED,
            rows,
            low,
            high,
            f"{amount(rows, 'row is', 'rows are')} too few: {asked}. Add examples or lower dataset.min_rows.",
        )
    if rows < low:
        sentence = f"{amount(rows, 'row passes', 'rows pass')} only because the loop file lowers what is asked for to {needed:,}; {usual}."
        return Preflight(SizeVerdict.WARN, rows, low, high, sentence)
    if rows <= high:
        return Preflight(
            SizeVerdict.WARN, rows, low, high, f"{amount(rows, 'row is', 'rows are')} within the range: {usual}. More would help."
        )
    sentence = f"{amount(rows, 'row is', 'rows are')} enough: {usual}."
    if rows > PLENTY:
        sentence += f" Above {PLENTY:,} quality counts more than volume: 5,000 reviewed rows beat 50,000 scraped ones."
    return Preflight(SizeVerdict.OK, rows, low, high, sentence)
