"""The server must be the model that was trained."""

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict


def judge_parity(gate: Gate, report: EvalReport) -> GateResult:
    """The verdict of a parity gate."""
    threshold = gate.at_least or 0.0
    return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, "parity was not measured: materialize eval_report again")
