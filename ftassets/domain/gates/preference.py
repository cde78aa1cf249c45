"""A calibrated judge prefers the candidate."""

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict


def judge_preference(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a judge gate."""
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, 0.0, 0, "the judge was not asked")
