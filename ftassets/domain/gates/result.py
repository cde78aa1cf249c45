"""What a gate says, and on which evidence."""

from enum import StrEnum
from math import ceil, sqrt
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from ftassets.domain.power import POWER, ROWS_LIMIT

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


class Verdict(StrEnum):
    """What a gate says: the claim is proved, its opposite is proved, or neither. Only PASS promotes."""

    PASS = "PASS"
    FAIL = "FAIL"
    NOT_ENOUGH_DATA = "NOT ENOUGH DATA"


class GateResult(BaseModel):
    """A gate's verdict with its evidence.

    `value` is the estimate; `bound` is the one-sided confidence bound that must clear the threshold for PASS, `fail_bound` the one on
    the other side, which must miss it for FAIL. `equivalent`: both bounds are within the margin, which is the two one-sided tests of
    equivalence (Schuirmann 1987); None without a margin.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    verdict: Verdict
    value: float | None
    bound: float | None
    threshold: float
    n: int
    sentence: str
    p_value: float | None = None  # of a better_than gate: the smaller, the surer
    # for NOT ENOUGH DATA: rows with which it would be PASS or FAIL in 80 % of cases, if the estimate holds; None when there are too many
    rows_needed: int | None = None
    fail_bound: float | None = None
    equivalent: bool | None = None

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
        fail_bound: float | None = None,
        equivalent: bool | None = None,
        unit: str = "rows",
    ) -> "GateResult":
        """The result of a gate under its name; it has and mentions `rows_needed` only where data are too few."""
        needed = rows_needed if verdict is Verdict.NOT_ENOUGH_DATA else None
        text = f"{sentence}{would_tell(needed, unit)}" if needed else sentence
        return cls(
            name=gate.name, verdict=verdict, value=value, bound=bound, threshold=threshold, n=n, sentence=text, p_value=p_value,
            rows_needed=needed, fail_bound=fail_bound, equivalent=equivalent,
        )  # fmt: skip


def verdict_of(proved: bool, disproved: bool) -> Verdict:
    """PASS when a bound proves the claim, FAIL when the other bound proves its opposite, else NOT ENOUGH DATA."""
    return Verdict.PASS if proved else Verdict.FAIL if disproved else Verdict.NOT_ENOUGH_DATA


def rows_to_tell(
    n: int, value: float, middle: float, bound: float, limit: float, confidence: float, there: int | None = None
) -> int | None:
    """Rows from which the bound clears, or misses, the limit in 80 % of cases if the estimate is the truth; None above `ROWS_LIMIT`.

    By the normal approximation: the distance of estimate and bound is a shift, from `value` to the `middle` of the distribution that
    gave the bound, which shrinks with the rows, and a spread, which shrinks with their root. More than are `there`, by default n.
    """
    from scipy.stats import norm

    distance, shift = abs(value - limit), abs(value - middle)
    spread = abs(middle - bound) * (1 + norm.ppf(POWER) / norm.ppf(confidence))
    if not distance or not shift + spread:
        return None
    root = (spread + sqrt(spread**2 + 4 * shift * distance)) / (2 * distance)  # of rows needed / n
    needed = max(n * root**2, (n if there is None else there) + 1)
    return ceil(needed) if needed <= ROWS_LIMIT else None


def would_tell(rows: int, unit: str) -> str:
    """How many rows, or what else is counted, would give a verdict: the end of a sentence."""
    return f"; about {about(rows)} {unit} would tell in {POWER:.0%} of cases"


def about(rows: int) -> str:
    """Two figures are as much as assumptions carry; rounded up."""
    size = 10 ** max(len(str(rows)) - 2, 0)
    return f"{-(-rows // size) * size:,}"
