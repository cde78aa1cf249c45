"""Recall: of a class's rows, the share whose answers name the class; of one class, or of every class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation import metrics
from ftassets.domain.evaluation.answer_form import NO_LABEL
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.classes import classes_of, without_rows
from ftassets.domain.gates.evidence import Ends, Evidence, tested
from ftassets.domain.gates.fixed import bar, evaluate_fixed
from ftassets.domain.gates.independent_units import pooled, unit_of
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.measured import row_values
from ftassets.domain.gates.paired import differences_of, evaluate_paired, no_rows, not_measured, same_rows
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, would_tell
from ftassets.domain.power import POWER, pairs_power, resampled_power, share_power, smallest
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(right_or_wrong=True)


def evaluate_recall(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a gate on the recall of `label`, or of every class.

    Every class must pass, each at the gate's confidence: an intersection, which errs at most as often as one class does. FAIL says that
    some class fails, a union, so that each of k classes is tested at alpha / k (Bonferroni). Rows that would tell are those of each class
    with which all pass together, or one FAILs, in 80 % of cases. Raises ValueError as other gates on rows do.
    """
    candidate, _ = same_rows(gate, report) if gate.better_than or gate.no_worse_than else (report.rows("candidate", gate.slice), [])
    if not candidate:
        return no_rows(gate)
    if any(score.expected is None for score in candidate):
        return not_measured(gate, len(candidate))
    there = Counter(score.expected or NO_LABEL for score in candidate)
    classes = [label for label in classes_of(gate, report) if label != NO_LABEL]
    missing = [label for label in classes if not there[label]]
    found = {label: _Class.of(gate, of_class(report, label)) for label in classes if there[label]}
    alpha = 1 - gate.confidence
    failing = [label for label, each in found.items() if each.evidence.p_below < alpha / len(classes)]
    if failing:
        worst = min(failing, key=lambda label: found[label].evidence.p_below)
        return _result(gate, report, worst, found, Verdict.FAIL, f"{some(failing)} fail", 1 - alpha / len(classes))
    if missing or not found:
        text = f"recall is not known: {without_rows(gate, missing)}" if missing else "no row has a class"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, len(candidate), text)
    open_ = [label for label, each in found.items() if each.evidence.verdict is not Verdict.PASS]
    worst = max(open_ or found, key=lambda label: found[label].evidence.p_value)
    verdict, said = (Verdict.NOT_ENOUGH_DATA, f"{some(open_)} undecided") if open_ else (Verdict.PASS, "all pass")
    return _result(gate, report, worst, found, verdict, said, gate.confidence)


def of_class(report: EvalReport, label: str) -> EvalReport:
    """The report on the rows of a class alone, whose value `recall` is 1 where the answer names it."""

    def rows(scores: Sequence[Score]) -> list[Score]:
        own = [score for score in scores if score.expected == label]
        return [score.model_copy(update={"values": {"recall": float(score.predicted == label)}}) for score in own]

    return report.model_copy(update={"scores": {role: rows(scores) for role, scores in report.scores.items()}})


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop's answers have no recall, None when they have."""
    return metrics.objection("recall", loop.task.form)


@dataclass(frozen=True)
class _Class:
    """A class's values, or differences, which must be above the limit on average."""

    values: tuple[float, ...]
    ends: Ends
    limit: float
    confidence: float

    @classmethod
    def of(cls, gate: "Gate", report: EvalReport) -> "_Class":
        def values(role: str) -> list[float]:
            rows = report.rows(role, gate.slice)
            return pooled("recall", rows, row_values("recall", rows) or [])

        if gate.better_than or gate.no_worse_than:
            gains, ends, limit, _ = differences_of(gate, values("candidate"), values("production"))
            return cls(tuple(sorted(gains)), ends, limit, gate.confidence)
        return cls(tuple(sorted(values("candidate"))), (0.0, 1.0), bar(gate), gate.confidence)

    @cached_property
    def evidence(self) -> Evidence:
        """What its rows say."""
        return tested(self.values, self.ends, self.limit, self.confidence)

    def chance(self, n: int, alpha: float, upwards: bool) -> float:
        """Chance that n rows like these show at level alpha that the mean is above the limit, or below it."""
        sign = 1 if upwards else -1
        values, limit, low = [sign * value for value in self.values], sign * self.limit, self.ends[0] if upwards else -self.ends[1]
        if not set(self.values) <= {-1.0, 0.0, 1.0}:  # shares of the answers of conversations
            return resampled_power(values, n, limit, low, alpha)
        if self.ends[0] < 0:
            return pairs_power(n, values.count(1.0) / len(values), values.count(-1.0) / len(values), limit, alpha)
        share, wanted = (np.mean(self.values), self.limit) if upwards else (1 - np.mean(self.values), 1 - self.limit)
        return share_power(n, float(share), wanted, 1 - alpha)


def _rows_of_each(found: Mapping[str, _Class]) -> int | None:
    """Rows of each class with which all would pass, or one of them FAIL, in 80 % of cases if the estimates are the truth; None above
    `ROWS_LIMIT`."""
    different = Counter(found.values())  # classes that are alike are computed once
    alpha = 1 - next(iter(different)).confidence
    failing = Counter({each: often for each, often in different.items() if each.evidence.value < each.limit})

    def enough(n: int) -> bool:
        if failing:
            return 1 - prod((1 - each.chance(n, alpha / len(found), False)) ** often for each, often in failing.items()) >= POWER
        return prod(each.chance(n, alpha, True) ** often for each, often in different.items()) >= POWER

    if not failing and any(each.evidence.value == each.limit for each in different):
        return None
    first = min(len(each.values) for each in different if each.evidence.verdict is not Verdict.PASS) + 1
    return smallest(enough, first, figures=40)


def _result(
    gate: "Gate", report: EvalReport, label: str, found: Mapping[str, _Class], verdict: Verdict, said: str, confidence: float
) -> GateResult:
    """The gate's result with the evidence of one class, which decides; a single class's own verdict may be FAIL where all have none."""
    asked, own = gate.model_copy(update={"confidence": confidence}), of_class(report, label)
    evaluate = evaluate_paired if gate.better_than or gate.no_worse_than else evaluate_fixed
    result, unit = evaluate(asked, own, needed=False), unit_of(own.rows("candidate", gate.slice))
    of = f"class {label}" if gate.label else f"{amount(len(found), 'class', 'classes')}: {said}; class {label}"
    needed = _rows_of_each(found) if verdict is Verdict.NOT_ENOUGH_DATA else None
    each = f"of {f'class {label}' if len(found) == 1 else 'each class'}"
    more = would_tell(needed, f"{unit} {each}") if needed else ""
    return result.model_copy(update={"verdict": verdict, "sentence": f"{of}: {result.sentence}{more}", "rows_needed": needed})
