"""At least, at most: one version against a fixed bound."""

from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.paired import no_rows, not_measured, width
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, rows_to_tell, verdict_of
from ftassets.domain.statistics import mean_lower_bound, paired_mean_lower_bound, share_lower_bound

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


def evaluate_fixed(gate: "Gate", report: EvalReport) -> GateResult:
    """The verdict of a gate with at_least or at_most on the candidate's scores. Raises ValueError when one is not finite."""
    scores = report.rows("candidate", gate.slice)
    if not scores:
        return no_rows(gate)
    values = row_values(gate.metric, scores)
    if values is None:
        return not_measured(gate, len(scores))
    return fixed_result(gate, float(np.mean(values)), *_bound(gate, values), len(scores))


def fixed_result(gate: "Gate", value: float, bound: float, method: str, n: int) -> GateResult:
    """The verdict on an estimate of n rows and its one-sided bound, which `method` gave."""
    upwards, limit = _upwards(gate), _limit(gate)
    clears = (lambda number: number >= limit) if upwards else (lambda number: number <= limit)
    side, wanted = ("lower", "at least") if upwards else ("upper", "at most")
    text = f"{gate.metric} {value:.3f} on {n} rows, {side} bound {bound:.3f} ({method}), needs {wanted} {limit:g}"
    return GateResult.of(
        gate, verdict_of(clears(bound), clears(value)), value, bound, limit, n, text,
        rows_needed=rows_to_tell(n, value, bound, limit),
    )  # fmt: skip


def _upwards(gate: "Gate") -> bool:
    return gate.at_least is not None


def _limit(gate: "Gate") -> float:
    return gate.at_least if gate.at_least is not None else gate.at_most or 0.0


def _bound(gate: "Gate", values: list[float]) -> tuple[float, str]:
    """One-sided bound of the mean: exact for right or wrong, Gaffke's where the values have a known range.

    Else that of differences to the limit as if it were a second version.
    """
    upwards, limit, known = _upwards(gate), _limit(gate), gate.kind.value
    if known.right_or_wrong:
        right, n = int(sum(values)), len(values)
        exact = share_lower_bound(right, n, gate.confidence) if upwards else 1 - share_lower_bound(n - right, n, gate.confidence)
        return exact, "Clopper-Pearson"
    if (top := known.largest) is not None:
        low = mean_lower_bound([value / top if upwards else 1 - value / top for value in values], gate.confidence)
        return top * (low if upwards else 1 - low), "Gaffke"
    most, sign = width(gate, values, [limit]), 1 if upwards else -1
    return limit + sign * most * paired_mean_lower_bound([sign * (value - limit) / most for value in values], gate.confidence), "Wald"
