"""Better than production, and no worse than production: two versions on the same rows."""

from collections.abc import Sequence

import numpy as np

from ftassets.domain.evaluation.metrics import LOWER_IS_BETTER, RELATIVE, RIGHT_OR_WRONG, scale
from ftassets.domain.evaluation.scoring import NO_LABEL, Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import DRAWS, macro_f1, macro_f1_draws
from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.domain.statistics import Pairs, mcnemar_p, paired_lower_bound, paired_mean_lower_bound, paired_mean_p


def evaluate_paired(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a gate with better_than or no_worse_than.

    Raises ValueError when the two were not scored on the same rows, or when a score is not finite.
    """
    candidate, production = report.rows("candidate", gate.slice), report.rows("production", gate.slice)
    if [s.id for s in candidate] != [s.id for s in production]:
        raise ValueError(f"gate {gate.name}: candidate and production were not scored on the same rows")
    if not candidate:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, f"no golden row in slice {gate.slice!r}")
    if gate.metric == "f1":
        return _macro_f1(gate, candidate, production)
    ours, theirs = row_values(gate.metric, candidate), row_values(gate.metric, production)
    if ours is None or theirs is None:
        return not_measured(gate, len(candidate))
    if gate.metric in LOWER_IS_BETTER:
        return _not_higher(gate, ours, theirs)
    return _superiority(gate, ours, theirs) if gate.better_than else _non_inferiority(gate, ours, theirs)


def not_measured(gate: Gate, n: int) -> GateResult:
    """The result of a gate whose metric the report does not hold."""
    text = f"{gate.metric} was not measured for each row: materialize eval_report again"
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, n, text)


def width(metric: str, *values: Sequence[float]) -> float:
    """Range the test assumes of differences: the metric's own, else the largest value seen, at least 1."""
    return scale(metric) or max(1.0, *(abs(value) for each in values for value in each))


def _superiority(gate: Gate, ours: list[float], theirs: list[float]) -> GateResult:
    alpha, n = 1 - gate.confidence, len(ours)
    text = f"candidate {np.mean(ours):.3f}, production {np.mean(theirs):.3f} of {n} rows; "
    if gate.metric in RIGHT_OR_WRONG:
        pairs = Pairs.of([value > 0 for value in ours], [value > 0 for value in theirs])
        p, value, bound = mcnemar_p(pairs), pairs.difference, paired_lower_bound(pairs, gate.confidence)
        text += f"right only by the candidate {pairs.only_candidate}, only by production {pairs.only_production}; exact McNemar p = {p:.2g}"
    else:
        most = width(gate.metric, ours, theirs)
        shares = [(c - p) / most for c, p in zip(ours, theirs, strict=True)]
        value, bound, p = most * sum(shares) / n, most * paired_mean_lower_bound(shares, gate.confidence), paired_mean_p(shares)
        text += f"difference {value:+.3f}, surely above {bound:+.3f}; paired Wald test p = {p:.2g}"
    return GateResult.of(
        gate, verdict_of(p < alpha, value > 0), value, bound, 0.0, n, f"{text}, needs < {alpha:.2g}",
        p_value=p, rows_needed=rows_to_tell(n, value, bound, 0.0),
    )  # fmt: skip


def _non_inferiority(gate: Gate, ours: list[float], theirs: list[float]) -> GateResult:
    most = width(gate.metric, ours, theirs)
    limit = -(gate.margin or 0.0) * (scale(gate.metric) or 1.0)
    shares = [(c - p) / most for c, p in zip(ours, theirs, strict=True)]
    value, bound = most * sum(shares) / len(shares), most * paired_mean_lower_bound(shares, gate.confidence)
    text = f"difference to production {value:+.3f} on {len(ours)} rows, surely above {bound:+.3f}, needs above {limit:+.3f}"
    return GateResult.of(
        gate, verdict_of(bound > limit, value > limit), value, bound, limit, len(ours), text,
        rows_needed=rows_to_tell(len(ours), value, bound, limit),
    )  # fmt: skip


def _not_higher(gate: Gate, ours: list[float], theirs: list[float]) -> GateResult:
    """No worse where lower is better: the candidate's mean less production's, or less its multiple for a relative margin."""
    margin = gate.margin or 0.0
    times, limit = (1 + margin, 0.0) if gate.metric in RELATIVE else (1.0, margin * (scale(gate.metric) or 1.0))
    allowed = [times * value for value in theirs]
    most = width(gate.metric, ours, allowed)
    shares = [(p - c) / most for c, p in zip(ours, allowed, strict=True)]
    value, bound = -most * sum(shares) / len(shares), -most * paired_mean_lower_bound(shares, gate.confidence)
    base = f"{times:.2f} times production's" if times != 1 else "production"
    text = (
        f"candidate {np.mean(ours):.3f}, production {np.mean(theirs):.3f} on {len(ours)} rows, lower is better; difference to {base} "
        f"{value:+.3f}, surely below {bound:+.3f}, needs below {limit:+.3f}"
    )
    return GateResult.of(
        gate, verdict_of(bound < limit, value < limit), value, bound, limit, len(ours), text,
        rows_needed=rows_to_tell(len(ours), value, bound, limit),
    )  # fmt: skip


def _macro_f1(gate: Gate, candidate: list[Score], production: list[Score]) -> GateResult:
    mine, other = labels(candidate), labels(production)
    if mine is None or other is None:
        return not_measured(gate, len(candidate))
    (expected, ours), (_, theirs) = mine, other
    value = macro_f1(expected, ours) - macro_f1(expected, theirs)
    draws = macro_f1_draws(expected, ours, theirs)
    gains, n, limit, alpha = draws[:, 0] - draws[:, 1], len(expected), -(gate.margin or 0.0), 1 - gate.confidence
    bound = float(np.quantile(gains, alpha))
    p = (1 + int(np.sum(gains <= limit))) / (DRAWS + 1)
    text = (
        f"macro F1 of the candidate {macro_f1(expected, ours):.3f}, production {macro_f1(expected, theirs):.3f} on {n} rows of "
        f"{len(set(expected))} classes; difference {value:+.3f}, surely above {bound:+.3f}, needs above {limit:+.3f}; "
        f"paired bootstrap p = {p:.2g}"
    )
    return GateResult.of(
        gate, verdict_of(p < alpha, value > limit), value, bound, limit, n, text,
        p_value=p, rows_needed=rows_to_tell(n, value, bound, limit),
    )  # fmt: skip


def labels(scores: Sequence[Score]) -> tuple[list[str], list[str]] | None:
    """Expected and predicted label of each row; None when rows were scored without, or no expected answer has one."""
    expected, predicted = [each.expected for each in scores], [each.predicted for each in scores]
    if None in expected or None in predicted or set(expected) <= {NO_LABEL}:
        return None
    return [str(label) for label in expected], [str(label) for label in predicted]
