"""Every gate of a loop on one report. Pure, so any verdict can be computed again.

A promotion is an intersection: all gates must pass. A candidate is bad if the claim of one gate is false, and it passes all gates at
most as often as that gate passes it wrongly (Berger 1982). So each gate is tested at the level of the whole decision, without a correction,
however gates depend on each other. Where one of several is enough, the union is corrected: any_of by Holm (`composed.py`), and as one
FAIL rejects a candidate, a FAIL of one of k gates is tested at a k-th of the level (Bonferroni).
"""

from collections.abc import Callable, Sequence

from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.composed import evaluate_any_of, evaluate_preset
from ftassets.domain.gates.error_budget import at_level, bad_promotions
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.wording import amount

# The rule by which verdicts follow from a report. Raise it when a stored report could get another verdict than before, and say why.
RULE = 5
CHANGES = {
    2: "bounds that hold for any number of rows instead of normal approximations and bootstraps, FAIL by a bound",
    3: "reviewers may stop at any time, people's labels correct a judge's choices, FAIL is corrected for the number of gates",
    4: "a gate on classes in a slice counts the policy's classes, a judge decides by people's labels on these very answers alone",
    5: "rows of one conversation count as one, a copy of a golden row does not count, bounds of macro F1 are corrected for small classes",
}  # by the rule that brought it
POOLED = 5


def evaluate_gates(gates: Sequence[Gate], report: EvalReport, review: Review | None = None) -> list[GateResult]:
    """One result per gate, in the order of the policy. `review` is the human review of the report's sample, where a gate needs it.

    Each gate is tested at its own confidence, or at the level that the loop's error budget left for this report if that is lower.
    Raises ValueError when candidate and production were not scored on the same rows, or when a score is not finite.
    """

    def one(gate: Gate) -> GateResult:
        if gate.any_of:
            return evaluate_any_of(gate, one)
        if gate.preset:
            return evaluate_preset(gate, report, one)
        return gate.kind.evaluate(gate, report, review)

    return [_in_family(gate, len(gates), report, one) for gate in gates]


def at_its_level(gate: Gate, report: EvalReport) -> Gate:
    """The gate as it is tested on a report: at its own confidence, or at the level that the loop's error budget left if that is lower."""
    return at_level(gate, report.error_budget.level) if report.error_budget else gate


def _in_family(gate: Gate, gates: int, report: EvalReport, evaluate: Callable[[Gate], GateResult]) -> GateResult:
    """The result of one gate of so many, at the level of the report's decision. FAIL needs a k-th of that level."""
    budget = report.error_budget
    strict = at_its_level(gate, report)
    result, notes = evaluate(strict), []
    if gates > 1 and (result.verdict is Verdict.FAIL or _towards_fail(result)):
        confidence = 1 - (1 - strict.confidence) / gates
        harder = evaluate(at_level(strict, 1 - confidence))
        if harder.verdict is not Verdict.FAIL:
            result = harder.model_copy(update={"verdict": Verdict.NOT_ENOUGH_DATA})
            notes.append(f"one of {amount(gates, 'gate')}, so that FAIL takes {100 * confidence:.4g} %")
    if budget and strict is not gate:
        notes += [
            f"tested at {budget.level:.3g}, not {1 - gate.confidence:.3g}: what the budget of {bad_promotions(budget.per_year)} a year "
            f"leaves after {budget.decisions - 1} other decisions in 365 days"
        ]
    return result.model_copy(update={"sentence": "; ".join([result.sentence, *notes])})


def _towards_fail(result: GateResult) -> bool:
    """Whether the rows that would tell are those of a FAIL, which one of several gates tests at its part of the level."""
    if result.rows_needed is None or result.value is None or result.bound is None or result.fail_bound is None:
        return False
    return (result.value - result.threshold) * (result.fail_bound - result.bound) < 0


def passed(results: Sequence[GateResult]) -> bool:
    """Whether every gate passes; False without gates."""
    return bool(results) and all(result.verdict is Verdict.PASS for result in results)
