"""Every gate of a loop on one report. Pure, so any verdict can be computed again."""

from collections.abc import Sequence

from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.composed import evaluate_any_of, evaluate_preset
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

# The rule by which verdicts follow from a report. Raise it when a stored report could get another verdict than before.
# 1: normal approximations and bootstraps, FAIL by the estimate. 2: bounds that hold for any number of rows, FAIL by a bound.
# 3: reviewers may stop at any time.
RULE = 3


def evaluate_gates(gates: Sequence[Gate], report: EvalReport, review: Review | None = None) -> list[GateResult]:
    """One result per gate, in the order of the policy. `review` is the human review of the report's sample, where a gate needs it.

    Raises ValueError when candidate and production were not scored on the same rows, or when a score is not finite.
    """

    def one(gate: Gate) -> GateResult:
        if gate.any_of:
            return evaluate_any_of(gate, one)
        if gate.preset:
            return evaluate_preset(gate, report, one)
        return gate.kind.evaluate(gate, report, review)

    return [one(gate) for gate in gates]


def passed(results: Sequence[GateResult]) -> bool:
    """Whether every gate passes; False without gates."""
    return bool(results) and all(result.verdict is Verdict.PASS for result in results)
