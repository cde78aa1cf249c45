"""What a gate says, and on which evidence."""

from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

ROWS_LIMIT = 100_000  # golden rows nobody writes: a gate that needs more practically never passes


class Verdict(StrEnum):
    """What a gate says. Only PASS promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


class GateResult(BaseModel):
    """A gate's verdict with its evidence; `value` is the estimate, `bound` its one-sided confidence bound."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    threshold: float
    n: int
    sentence: str
    p_value: float | None = None  # of a better_than gate: the smaller, the surer
    rows_needed: int | None = None  # for NOT ENOUGH DATA: rows that would tell, if the estimate holds; None when there are too many

    @classmethod
    def of(
        cls,
        gate: "Gate",
        verdict: Verdict,
        value: float | None,
        bound: float | None,
        threshold: float,
        n: int,
        sentence: str,
        *,
        p_value: float | None = None,
        rows_needed: int | None = None,
        unit: str = "rows",
    ) -> "GateResult":
        """The result of a gate under its name; it has and mentions `rows_needed` only where data are too few."""
        needed = rows_needed if verdict is Verdict.NOT_ENOUGH_DATA else None
        text = f"{sentence}; about {about(needed)} {unit} would tell" if needed else sentence
        return cls(
            name=gate.name, verdict=verdict, value=value, bound=bound, threshold=threshold, n=n, sentence=text, p_value=p_value,
            rows_needed=needed,
        )  # fmt: skip


def verdict_of(bound_clears: bool, estimate_clears: bool) -> Verdict:
    """PASS when the bound clears the threshold, FAIL when not even the estimate does, else NOT ENOUGH DATA."""
    return Verdict.PASS if bound_clears else Verdict.NOT_ENOUGH_DATA if estimate_clears else Verdict.FAIL


def rows_to_tell(n: int, value: float, bound: float, threshold: float) -> int | None:
    """Rows from which the bound would clear the threshold if the estimate stayed; None above `ROWS_LIMIT`.

    The distance of estimate and bound shrinks with the root of the rows (normal approximation).
    """
    distance = abs(value - threshold)
    if not distance:
        return None
    needed = max(n * ((value - bound) / distance) ** 2, n + 1)  # an exact test may want more where the approximation is content
    return ceil(needed) if needed <= ROWS_LIMIT else None


def about(rows: int) -> str:
    """Two figures are as much as assumptions carry; rounded up."""
    size = 10 ** max(len(str(rows)) - 2, 0)
    return f"{-(-rows // size) * size:,}"
