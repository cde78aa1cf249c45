"""At least, at most: one version against a fixed bound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.evidence import mean_evidence, tested
from ftassets.domain.gates.independent_units import counted, pooled, unit_of
from ftassets.domain.gates.measured import clipped, row_values
from ftassets.domain.gates.paired import OUTSIDE, no_rows, not_measured, right_or_wrong, scores_beyond
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, verdict_of

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


def evaluate_fixed(gate: "Gate", report: EvalReport, needed: bool = True) -> GateResult:
    """The verdict of a gate with at_least or at_most on the candidate's scores. Raises ValueError when one is not finite.

    Not `needed`: without the rows that would tell.

    The bounds are exact for right or wrong (Clopper and Pearson), and Gaffke's for other values, which count up to the gate's `top`.
    """
    scores = report.rows("candidate", gate.slice)
    if not scores:
        return no_rows(gate)
    values = row_values(gate.metric, scores)
    if values is None:
        return not_measured(gate, len(scores))
    kept, beyond = clipped(pooled(gate.metric, scores, values), gate.top)
    if beyond > OUTSIDE * len(kept):
        return scores_beyond(gate, beyond, len(kept))
    sign, limit, top = 1 if gate.at_least is not None else -1, bar(gate), gate.top
    ends = (0.0, top) if sign > 0 else (-top, 0.0)
    found = (mean_evidence if needed else tested)([sign * value for value in kept], ends, sign * limit, gate.confidence)
    method = "Clopper-Pearson" if right_or_wrong(gate, scores) else "Gaffke"
    return fixed_result(
        gate,
        sign * found.value,
        sign * found.lower,
        sign * found.upper,
        method,
        len(kept),
        rows_needed=found.rows_needed,
        cut=beyond,
        scores=scores,
    )


def fixed_result(
    gate: "Gate",
    value: float,
    bound: float,
    fail_bound: float,
    method: str,
    n: int,
    *,
    rows_needed: int | None = None,
    cut: int = 0,
    scores: Sequence[Score] = (),
) -> GateResult:
    """The verdict on an estimate of n rows and its bounds, which `method` gave. `cut`: values beyond the scale that count as its end.

    `scores`: the rows, where they may be answers of conversations; n then counts these.
    """
    limit, upwards = bar(gate), gate.at_least is not None
    proved, disproved = (bound >= limit, fail_bound < limit) if upwards else (bound <= limit, fail_bound > limit)
    side, other, wanted = ("lower", "upper", "a lower bound of at least") if upwards else ("upper", "lower", "an upper bound of at most")
    text = f"{gate.metric} {value:.3f} on {counted(scores, n)}, {100 * gate.confidence:g} % {side} bound {bound:.3f}, "
    text += f"{other} {fail_bound:.3f} ({method}), needs {wanted} {limit:g}"
    text += f"; {cut} values beyond 0 to {gate.top:g} counted as these" if cut else ""
    return GateResult.of(
        gate, verdict_of(proved, disproved), value, bound, limit, n, text,
        rows_needed=rows_needed, fail_bound=fail_bound, unit=unit_of(scores),
    )  # fmt: skip


def bar(gate: "Gate") -> float:
    """The fixed bound of a gate that has one."""
    return gate.at_least if gate.at_least is not None else gate.at_most or 0.0
