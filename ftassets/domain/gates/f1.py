"""Macro F1 over the classes that answers name, against production or a fixed bound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation import metrics
from ftassets.domain.evaluation.answer_form import NO_LABEL
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.fixed import fixed_result
from ftassets.domain.gates.macro_f1 import DRAWS, macro_f1, macro_f1_draws
from ftassets.domain.gates.paired import no_rows, not_measured, same_rows
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, rows_to_tell, verdict_of

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()


def evaluate_f1(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a gate on macro F1. Raises ValueError when candidate and production were not scored on the same rows."""
    if gate.better_than or gate.no_worse_than:
        return _paired(gate, *same_rows(gate, report))
    return _fixed(gate, report.rows("candidate", gate.slice))


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "macro F1 depends on how the errors spread over the classes; a report that lacks rows says how many would tell"


def average(gate: "Gate", report: EvalReport, role: str) -> float | None:
    """Macro F1 of a role's rows; None without rows or labels."""
    rows = report.rows(role, gate.slice)
    found = labels(rows) if rows else None
    return macro_f1(*found) if found else None


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop's answers have no F1, None when they have."""
    return metrics.objection("f1", loop.task.form)


def labels(scores: Sequence[Score]) -> tuple[list[str], list[str]] | None:
    """Expected and predicted label of each row; None when rows were scored without, or no expected answer has one."""
    expected, predicted = [each.expected for each in scores], [each.predicted for each in scores]
    if None in expected or None in predicted or set(expected) <= {NO_LABEL}:
        return None
    return [str(label) for label in expected], [str(label) for label in predicted]


def _paired(gate: "Gate", candidate: Sequence[Score], production: Sequence[Score]) -> GateResult:
    if not candidate:
        return no_rows(gate)
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
        f"{len(set(expected))} classes; difference {value:+.3f}, {100 * gate.confidence:g} % lower bound {bound:+.3f}, "
        f"needs above {limit:+.3f}; paired bootstrap p = {p:.2g}"
    )
    return GateResult.of(
        gate, verdict_of(p < alpha, value > limit), value, bound, limit, n, text,
        p_value=p, rows_needed=rows_to_tell(n, value, bound, limit),
    )  # fmt: skip


def _fixed(gate: "Gate", scores: Sequence[Score]) -> GateResult:
    if not scores:
        return no_rows(gate)
    found = labels(scores)
    if found is None:
        return not_measured(gate, len(scores))
    upwards = gate.at_least is not None
    draws = macro_f1_draws(found[0], found[1], found[1], against="wrong" if upwards else "right")[:, 0]
    bound = float(np.quantile(draws, 1 - gate.confidence if upwards else gate.confidence))
    return fixed_result(gate, macro_f1(*found), bound, "bootstrap", len(scores))
