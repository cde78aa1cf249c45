"""Macro F1 over the classes that answers name, against production or a fixed bound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.evaluation import metrics
from ftassets.domain.evaluation.answer_form import NO_LABEL
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.classes import classes_of, without_rows
from ftassets.domain.gates.fixed import bar, fixed_result
from ftassets.domain.gates.independent_units import one_of_each
from ftassets.domain.gates.macro_f1 import gain_bound, loss_bound, macro_f1
from ftassets.domain.gates.paired import no_rows, not_measured, same_rows
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, rows_to_tell, verdict_of
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()
_ROUNDS = 3


def evaluate_f1(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a gate on macro F1, by one row of each conversation.

    Raises ValueError when candidate and production were not scored on the same rows.
    """
    if gate.better_than or gate.no_worse_than:
        return _paired(gate, report, *(one_of_each(rows) for rows in same_rows(gate, report)))
    return _fixed(gate, report)


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "macro F1 depends on how the errors spread over the classes; a report that lacks rows says how many would tell"


def average(gate: "Gate", report: EvalReport, role: str) -> float | None:
    """Macro F1 of a role's rows, over the classes that these have, as usual readings take it; None without rows or labels."""
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


def _over(classes: Sequence[str]) -> str:
    return f"over {amount(len(classes), 'class', 'classes')}"


def _without_rows(gate: "Gate", names: Sequence[str], n: int) -> GateResult:
    text = f"macro F1 is not known: {without_rows(gate, names)}"
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, n, text)


def _paired(gate: "Gate", report: EvalReport, candidate: Sequence[Score], production: Sequence[Score]) -> GateResult:
    if not candidate:
        return no_rows(gate)
    mine, other = labels(candidate), labels(production)
    if mine is None or other is None:
        return not_measured(gate, len(candidate))
    (expected, ours), (_, theirs) = mine, other
    classes = classes_of(gate, report)
    if missing := sorted(set(classes) - set(expected)):
        return _without_rows(gate, missing, len(expected))
    here, there = (macro_f1(expected, said, classes) for said in (ours, theirs))
    value, n, limit = here - there, len(expected), 0.0 - (gate.margin or 0.0)
    gain, loss = (of(expected, ours, theirs, limit, gate.confidence, classes) for of in (gain_bound, loss_bound))
    alpha = 1 - gate.confidence
    equivalent = limit < gain.bound and loss.bound < -limit if gate.no_worse_than else None
    text = (
        f"macro F1 of the candidate {here:.3f}, production {there:.3f} on {amount(n, 'row')}, "
        f"{_over(classes)}; difference {value:+.3f}, {100 * gate.confidence:g} % lower bound {gain.bound:+.3f}, upper "
        f"{loss.bound:+.3f}, needs a lower bound above {limit:+.3f}; paired bootstrap p = {gain.p_value:.2g}"
    )
    verdict = verdict_of(gain.p_value < alpha, loss.p_value < alpha)
    needed = _rows_needed(gate, value, limit, expected, ours, theirs, classes) if verdict is Verdict.NOT_ENOUGH_DATA else None
    return GateResult.of(
        gate, verdict, value, gain.bound, limit, n, text, fail_bound=loss.bound,
        p_value=gain.p_value if gate.better_than else None, equivalent=equivalent, rows_needed=needed,
    )  # fmt: skip


def _fixed(gate: "Gate", report: EvalReport) -> GateResult:
    scores = one_of_each(report.rows("candidate", gate.slice))
    if not scores:
        return no_rows(gate)
    found = labels(scores)
    if found is None:
        return not_measured(gate, len(scores))
    expected, said = found
    classes = classes_of(gate, report)
    if missing := sorted(set(classes) - set(expected)):
        return _without_rows(gate, missing, len(expected))
    value, limit = macro_f1(expected, said, classes), bar(gate)
    gain, loss = (of(expected, said, None, limit, gate.confidence, classes) for of in (gain_bound, loss_bound))
    near, far = (gain, loss) if gate.at_least is not None else (loss, gain)
    undecided = gain.bound <= limit <= loss.bound
    needed = _rows_needed(gate, value, limit, expected, said, None, classes) if undecided else None
    result, alpha = fixed_result(gate, value, near.bound, far.bound, "bootstrap", len(scores), rows_needed=needed), 1 - gate.confidence
    p_value = near.p_value if result.verdict is Verdict.PASS else far.p_value
    if result.verdict is Verdict.NOT_ENOUGH_DATA or p_value < alpha:
        return result
    # a quantile of some thousand draws is no bound at a level that they cannot reach
    text = f"{result.sentence}; the bootstrap's p is {p_value:.2g}, which does not reach the level {alpha:.2g}"
    return result.model_copy(update={"verdict": Verdict.NOT_ENOUGH_DATA, "sentence": text})


def _rows_needed(
    gate: "Gate",
    value: float,
    limit: float,
    expected: Sequence[str],
    ours: Sequence[str],
    theirs: Sequence[str] | None,
    classes: Sequence[str],
) -> int | None:
    """Rows, more than these, with which the gate tells in 80 % of cases if all rows are like these; None above `ROWS_LIMIT`.

    A bound of few rows is more lopsided than one of many, so that it is taken again for as many rows as seem to be needed.
    """
    of, n = gain_bound if value > limit else loss_bound, len(expected)
    needed: int | None = n
    for _ in range(_ROUNDS):
        if needed is not None:
            found = of(expected, ours, theirs, limit, gate.confidence, classes, rows=needed)
            needed = rows_to_tell(needed, value, found.middle, found.bound, limit, gate.confidence, n)
    return needed
