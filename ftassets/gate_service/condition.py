"""What the caller asks for besides the loop's own gates: it may be stricter than they are, never looser."""

from collections.abc import Sequence

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import macro_f1
from ftassets.domain.gates.paired import labels
from ftassets.domain.gates.policy import judge
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult

NAME = "caller_f1"


def policy_f1(gates: Sequence[Gate], production: float) -> float | None:
    """The macro F1 that a loop's gates ask for on all golden rows, or None; `production` is production's on the same rows."""
    asked = []
    for gate in gates:
        if gate.preset == "f1" and gate.slice is None:
            asked.append(production)
        elif gate.metric == "f1" and gate.slice is None:
            asked.append(gate.at_least if gate.at_least is not None else production - (gate.margin or 0.0))
    return max(asked, default=None)


def judge_caller(wanted: float, gates: Sequence[Gate], report: EvalReport) -> tuple[GateResult, str | None]:
    """The verdict on macro F1 being surely at least `wanted`, or what the gates ask for where that is more: then with a note."""
    now = labels(report.rows("production", None))
    policy = policy_f1(gates, macro_f1(*now)) if now and now[0] else None
    least = wanted if policy is None else max(wanted, policy)
    gate = Gate.model_construct(metric="f1", at_least=least)  # not checked: a wish may be one that no loop file could state
    result = judge([gate], report)[0].model_copy(update={"name": NAME})
    if least == wanted:
        return result, None
    return result, f"baseline_f1 + threshold, {wanted:.3f}, is looser than the loop's policy, {least:.3f}: it is ignored, the policy counts"
