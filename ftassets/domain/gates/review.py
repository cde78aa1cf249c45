"""People found a sample of the candidate's answers good."""

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.human_review import Review


def judge_review(gate: Gate, report: EvalReport, review: Review | None) -> GateResult:
    """The verdict of a human_review gate."""
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, gate.at_least or 0.0, 0, "nobody reviewed a sample yet")
