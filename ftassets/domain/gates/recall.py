"""Recall: of a class's rows, the share whose answers name the class; of one class, or of every class."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.evaluation import metrics
from ftassets.domain.evaluation.answer_form import NO_LABEL
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.classes import classes_of, without_rows
from ftassets.domain.gates.evidence import Evidence, tested
from ftassets.domain.gates.fixed import bar, evaluate_fixed
from ftassets.domain.gates.independent_units import pooled
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.paired import differences_of, evaluate_paired, no_rows, not_measured, same_rows
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(right_or_wrong=True)


def evaluate_recall(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a gate on the recall of `label`, or of every class.

    Every class must pass, each at the gate's confidence: an intersection, which errs at most as often as one class does. FAIL says that
    some class fails, a union, so that each of k classes is tested at alpha / k (Bonferroni). Raises ValueError as other gates on rows do.
    """
    candidate, _ = same_rows(gate, report) if gate.better_than or gate.no_worse_than else (report.rows("candidate", gate.slice), [])
    if not candidate:
        return no_rows(gate)
    if any(score.expected is None for score in candidate):
        return not_measured(gate, len(candidate))
    there = Counter(score.expected or NO_LABEL for score in candidate)
    classes = [label for label in classes_of(gate, report) if label != NO_LABEL]
    missing = [label for label in classes if not there[label]]
    found = {label: _evidence(gate, of_class(report, label)) for label in classes if there[label]}
    alpha = 1 - gate.confidence
    failing = [label for label, each in found.items() if each.p_below < alpha / len(classes)]
    if failing:
        worst = min(failing, key=lambda label: found[label].p_below)
        return _result(gate, report, worst, len(classes), Verdict.FAIL, f"{some(failing)} fail", 1 - alpha / len(classes))
    if missing or not found:
        text = f"recall is not known: {without_rows(gate, missing)}" if missing else "no row has a class"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, len(candidate), text)
    open_ = [label for label, each in found.items() if each.verdict is not Verdict.PASS]
    worst = max(open_ or found, key=lambda label: found[label].p_value)
    verdict, said = (Verdict.NOT_ENOUGH_DATA, f"{some(open_)} undecided") if open_ else (Verdict.PASS, "all pass")
    return _result(gate, report, worst, len(classes), verdict, said, gate.confidence)


def of_class(report: EvalReport, label: str) -> EvalReport:
    """The report on the rows of a class alone, whose value `recall` is 1 where the answer names it."""

    def rows(scores: Sequence[Score]) -> list[Score]:
        own = [score for score in scores if score.expected == label]
        return [score.model_copy(update={"values": {"recall": float(score.predicted == label)}}) for score in own]

    return report.model_copy(update={"scores": {role: rows(scores) for role, scores in report.scores.items()}})


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop's answers have no recall, None when they have."""
    return metrics.objection("recall", loop.task.form)


def _evidence(gate: "Gate", report: EvalReport) -> Evidence:
    def values(role: str) -> list[float]:
        rows = report.rows(role, gate.slice)
        return pooled("recall", rows, row_values("recall", rows) or [])

    if gate.better_than or gate.no_worse_than:
        gains, ends, limit, _ = differences_of(gate, values("candidate"), values("production"))
        return tested(gains, ends, limit, gate.confidence)
    return tested(values("candidate"), (0.0, 1.0), bar(gate), gate.confidence)


def _result(gate: "Gate", report: EvalReport, label: str, classes: int, verdict: Verdict, said: str, confidence: float) -> GateResult:
    """The gate's result with the evidence of one class, which decides; a single class's own verdict may be FAIL where all have none."""
    asked, own = gate.model_copy(update={"confidence": confidence}), of_class(report, label)
    result = evaluate_paired(asked, own) if gate.better_than or gate.no_worse_than else evaluate_fixed(asked, own)
    of = f"class {label}" if gate.label else f"{classes} classes: {said}; class {label}"
    return result.model_copy(update={"verdict": verdict, "sentence": f"{of}: {result.sentence}"})
