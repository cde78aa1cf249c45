"""Better than production, and no worse than production: two versions on the same rows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import Pairs, mcnemar_p, paired_lower_bound, paired_mean_lower_bound, paired_mean_p

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


def evaluate_paired(gate: "Gate", report: EvalReport) -> GateResult:
    """The verdict of a gate with better_than or no_worse_than.

    Raises ValueError when the two were not scored on the same rows, or when a score is not finite.
    """
    candidate, production = same_rows(gate, report)
    if not candidate:
        return no_rows(gate)
    ours, theirs = row_values(gate.metric, candidate), row_values(gate.metric, production)
    if ours is None or theirs is None:
        return not_measured(gate, len(candidate))
    if gate.kind.value.lower_is_better:
        return _not_higher(gate, ours, theirs)
    return _superiority(gate, ours, theirs) if gate.better_than else _non_inferiority(gate, ours, theirs)


def same_rows(gate: "Gate", report: EvalReport) -> tuple[list[Score], list[Score]]:
    """Scores of candidate and production on the gate's rows. Raises ValueError when these are not the same rows."""
    candidate, production = report.rows("candidate", gate.slice), report.rows("production", gate.slice)
    if [s.id for s in candidate] != [s.id for s in production]:
        raise ValueError(f"gate {gate.name}: candidate and production were not scored on the same rows")
    return candidate, production


def no_rows(gate: "Gate") -> GateResult:
    """The result of a gate whose slice has no row."""
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")


def not_measured(gate: "Gate", n: int) -> GateResult:
    """The result of a gate whose metric the report does not hold."""
    text = f"{gate.metric} was not measured for each row: materialize eval_report again"
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, n, text)


def width(gate: "Gate", *values: Sequence[float]) -> float:
    """Range the test assumes of differences: the metric's own, else the largest value seen, at least 1."""
    return gate.kind.value.largest or max(1.0, *(abs(value) for each in values for value in each))


def _superiority(gate: "Gate", ours: list[float], theirs: list[float]) -> GateResult:
    alpha, n = 1 - gate.confidence, len(ours)
    text = f"candidate {np.mean(ours):.3f}, production {np.mean(theirs):.3f} of {n} rows; "
    if gate.kind.value.right_or_wrong:
        pairs = Pairs.of([value > 0 for value in ours], [value > 0 for value in theirs])
        p, value, bound = mcnemar_p(pairs), pairs.difference, paired_lower_bound(pairs, gate.confidence)
        text += f"right only by the candidate {pairs.only_candidate}, only by production {pairs.only_production}; exact McNemar p = {p:.2g}"
    else:
        most = width(gate, ours, theirs)
        shares = [(c - p) / most for c, p in zip(ours, theirs, strict=True)]
        value, bound, p = most * sum(shares) / n, most * paired_mean_lower_bound(shares, gate.confidence), paired_mean_p(shares)
        text += f"difference {value:+.3f}, lower bound {bound:+.3f}; paired Wald test p = {p:.2g}"
    return GateResult.of(
        gate, verdict_of(p < alpha, value > 0), value, bound, 0.0, n, f"{text}, needs < {alpha:.2g}",
        p_value=p, rows_needed=rows_to_tell(n, value, bound, 0.0),
    )  # fmt: skip


def _non_inferiority(gate: "Gate", ours: list[float], theirs: list[float]) -> GateResult:
    most = width(gate, ours, theirs)
    limit = -(gate.margin or 0.0) * (gate.kind.value.largest or 1.0)
    shares = [(c - p) / most for c, p in zip(ours, theirs, strict=True)]
    value, bound = most * sum(shares) / len(shares), most * paired_mean_lower_bound(shares, gate.confidence)
    text = f"difference to production {value:+.3f} on {len(ours)} rows, lower bound {bound:+.3f}, needs above {limit:+.3f}"
    return GateResult.of(
        gate, verdict_of(bound > limit, value > limit), value, bound, limit, len(ours), text,
        rows_needed=rows_to_tell(len(ours), value, bound, limit),
    )  # fmt: skip


def _not_higher(gate: "Gate", ours: list[float], theirs: list[float]) -> GateResult:
    """No worse where lower is better: the candidate's mean less production's, or less its multiple for a relative margin."""
    margin, known = gate.margin or 0.0, gate.kind.value
    times, limit = (1 + margin, 0.0) if known.relative_margin else (1.0, margin * (known.largest or 1.0))
    allowed = [times * value for value in theirs]
    most = width(gate, ours, allowed)
    shares = [(p - c) / most for c, p in zip(ours, allowed, strict=True)]
    value, bound = -most * sum(shares) / len(shares), -most * paired_mean_lower_bound(shares, gate.confidence)
    base = f"{times:.2f} times production's" if times != 1 else "production"
    text = (
        f"candidate {np.mean(ours):.3f}, production {np.mean(theirs):.3f} on {len(ours)} rows, lower is better; difference to {base} "
        f"{value:+.3f}, upper bound {bound:+.3f}, needs below {limit:+.3f}"
    )
    return GateResult.of(
        gate, verdict_of(bound < limit, value < limit), value, bound, limit, len(ours), text,
        rows_needed=rows_to_tell(len(ours), value, bound, limit),
    )  # fmt: skip
