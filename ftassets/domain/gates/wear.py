"""How far a golden set is worn: how far the best of several candidates scores above its true value on its rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.gates.independent_units import counted, pooled
from ftassets.domain.gates.measured import clipped, row_values
from ftassets.domain.gates.paired import same_rows
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.power import EFFECT
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate
    from ftassets.domain.gates.planning import RowCounts

MOST = 1000  # candidates that are looked ahead to
HALF = 0.5  # of what a gate must tell apart: from there on, choosing among candidates may pass for half of a gain


@dataclass(frozen=True)
class Wear:
    """Of a gate's rows: the `optimism` after so many candidates, in the metric's unit, and the optimism from which to refresh.

    `refresh_at` is the number of candidates at which it is reached; None above `MOST`.
    """

    metric: str
    rows: str
    candidates: int
    optimism: float
    limit: float
    refresh_at: int | None

    @property
    def worn(self) -> bool:
        """Whether rows should be replaced or added."""
        return self.optimism > self.limit

    @property
    def sentence(self) -> str:
        """All of it in words."""
        when = f"more than {MOST:,}" if self.refresh_at is None else f"{self.refresh_at:,}"
        text = (
            f"{amount(self.candidates, 'candidate was', 'candidates were')} evaluated on this golden set; by chance alone the "
            f"best of {self.candidates} equal ones scores {self.optimism:.3f} above its true {self.metric}, on {self.rows}"
        )
        if self.worn:
            return f"{text}; that is more than {self.limit:.3f}, half of what a gate must tell apart: replace rows of the golden set"
        return f"{text}; replace rows at {when} candidates, when that is {self.limit:.3f}, half of what a gate must tell apart"


def wear(report: EvalReport, gates: "Sequence[Gate]") -> Wear | None:
    """The wear of the rows of the gate that suffers most; None if no gate compares values of golden rows with production.

    A gate must tell its margin apart, or without one a gain of `EFFECT` of the scale. How far two models differ on a row is taken from
    candidate and production.
    """
    found = []
    for gate in single_gates(gates):
        if gate.kind.counts != "rows" or not (gate.better_than or gate.no_worse_than) or gate.slice in report.other_sets:
            continue
        candidate, production = same_rows(gate, report)
        ours, theirs = row_values(gate.metric, candidate), row_values(gate.metric, production)
        if not ours or not theirs:
            continue
        ours, theirs = pooled(gate.metric, candidate, ours), pooled(gate.metric, production, theirs)
        top = gate.top
        differences = np.subtract(clipped(ours, top)[0], clipped(theirs, top)[0])
        differing, known = float(np.mean(differences**2)), gate.kind.value
        scale = float(np.mean(theirs)) if gate.margin and known.relative_margin else known.largest or 1.0
        limit = HALF * (gate.margin or EFFECT) * scale
        now = optimism(report.golden_uses, len(ours), differing)
        found.append(
            Wear(gate.metric, counted(candidate, len(ours)), report.golden_uses, now, limit, candidates_until(limit, len(ours), differing))
        )
    return max(found, key=lambda each: each.optimism / each.limit if each.limit else 0.0, default=None)


def lasts(gates: "Sequence[Gate]", counts: "RowCounts", differing: float) -> int | None:
    """For how many candidates the golden set lasts if two models differ on this share of its rows; None above `MOST`.

    Of the gates that compare right or wrong with production, the one that suffers most counts.
    """
    found = []
    for gate in single_gates(gates):
        if gate.kind.counts == "rows" and (gate.better_than or gate.no_worse_than) and gate.kind.value.right_or_wrong:
            until = candidates_until(HALF * (gate.margin or EFFECT), counts.of(gate), differing)
            found += [until - 1] if until else []
    return min(found, default=None)


def optimism(candidates: int, rows: int, differing: float) -> float:
    """How much the best of so many equal candidates, by its mean over the rows, is expected to be above its true mean.

    `differing` is the mean squared difference of two candidates on a row: for right and wrong the share of rows on which only one is
    right. What they have in common, as that a row is hard, does not choose among them; the rest has the variance differing / (2 rows).
    """
    return float(np.sqrt(differing / (2 * rows))) * expected_maximum(candidates) if rows else 0.0


def candidates_until(limit: float, rows: int, differing: float) -> int | None:
    """The smallest number of candidates whose optimism is above the limit; None above `MOST`."""
    return next((number for number in range(2, MOST + 1) if optimism(number, rows, differing) > limit), None)


@cache
def expected_maximum(count: int) -> float:
    """Mean of the largest of so many independent standard normal values: the integral of 1 - F^n above 0 less that of F^n below."""
    from scipy.special import ndtr

    if count == 1:
        return 0.0
    x = np.linspace(0.0, 10.0, 4001)
    return float(np.trapezoid(1 - ndtr(x) ** count - ndtr(-x) ** count, x))
