"""At least, at most: one version against a fixed bound."""

import numpy as np

from ftassets.domain.evaluation.metrics import RIGHT_OR_WRONG, scale
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import macro_f1, macro_f1_draws
from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.paired import labels, not_measured, width
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import mean_lower_bound, paired_mean_lower_bound, share_lower_bound


def evaluate_fixed(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a gate with at_least or at_most on the candidate's scores. Raises ValueError when one is not finite."""
    scores = report.rows("candidate", gate.slice)
    if not scores:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")
    upwards = gate.at_least is not None
    limit = gate.at_least if gate.at_least is not None else gate.at_most or 0.0
    if gate.metric == "f1":
        found = labels(scores)
        if found is None:
            return not_measured(gate, len(scores))
        value = macro_f1(*found)
        draws = macro_f1_draws(found[0], found[1], found[1], against="wrong" if upwards else "right")[:, 0]
        bound, method = float(np.quantile(draws, 1 - gate.confidence if upwards else gate.confidence)), "bootstrap"
    else:
        values = row_values(gate.metric, scores)
        if values is None:
            return not_measured(gate, len(scores))
        value, (bound, method) = float(np.mean(values)), _bound(gate, values, limit, upwards)
    clears = (lambda number: number >= limit) if upwards else (lambda number: number <= limit)
    side, wanted = ("above", "at least") if upwards else ("below", "at most")
    text = f"{gate.metric} {value:.3f} on {len(scores)} rows, surely {side} {bound:.3f} ({method}), needs {wanted} {limit:g}"
    return GateResult.of(
        gate, verdict_of(clears(bound), clears(value)), value, bound, limit, len(scores), text,
        rows_needed=rows_to_tell(len(scores), value, bound, limit),
    )  # fmt: skip


def _bound(gate: Gate, values: list[float], limit: float, upwards: bool) -> tuple[float, str]:
    """One-sided bound of the mean: exact for right or wrong, Gaffke's where the values have a known range.

    Else that of differences to the limit as if it were a second version.
    """
    if gate.metric in RIGHT_OR_WRONG:
        right, n = int(sum(values)), len(values)
        exact = share_lower_bound(right, n, gate.confidence) if upwards else 1 - share_lower_bound(n - right, n, gate.confidence)
        return exact, "Clopper-Pearson"
    if (top := scale(gate.metric)) is not None:
        low = mean_lower_bound([value / top if upwards else 1 - value / top for value in values], gate.confidence)
        return top * (low if upwards else 1 - low), "Gaffke"
    most, sign = width(gate.metric, values, [limit]), 1 if upwards else -1
    return limit + sign * most * paired_mean_lower_bound([sign * (value - limit) / most for value in values], gate.confidence), "Wald"
