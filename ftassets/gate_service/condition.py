"""What the caller asks for besides the loop's own gates: it may be stricter than they are, never looser."""

from collections.abc import Sequence

from ftassets.domain.gates.f1 import labels
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import macro_f1
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

NAME = "caller_f1"


def policy_f1(gates: Sequence[Gate], production: float) -> float | None:
    """The macro F1 that a loop's gates ask for on all golden rows, or None; `production` is production's on the same rows."""
    asked = [_asked(gate, production) for gate in _on_f1(gates)]
    return max(asked, default=None)


def evaluate_caller(wanted: float, gates: Sequence[Gate], report: EvalReport) -> tuple[GateResult, str | None]:
    """The verdict that macro F1 is at least `wanted` (lower bound); a stricter policy of the loop replaces it, with a note."""
    now = labels(report.rows("production", None))
    policy = policy_f1(gates, macro_f1(*now)) if now and now[0] else None
    gate = Gate.model_construct(metric="f1", at_least=wanted)  # not checked: a wish may be one that no loop file could state
    result = evaluate_gates([gate], report)[0].model_copy(update={"name": NAME})
    if policy is None or wanted >= policy:
        return result, None
    own = evaluate_gates(_on_f1(gates), report)
    strictest = next((each for each in own if each.verdict is not Verdict.PASS), own[0])
    note = f"baseline_f1 + threshold, {wanted:.3f}, is looser than the loop's policy, {policy:.3f}: it is ignored, the policy counts"
    return strictest.model_copy(update={"name": NAME, "value": result.value}), note


def _on_f1(gates: Sequence[Gate]) -> list[Gate]:
    return [gate for gate in gates if "f1" in (gate.metric, gate.preset) and gate.slice is None]


def _asked(gate: Gate, production: float) -> float:
    if gate.preset:
        return production
    return gate.at_least if gate.at_least is not None else production - (gate.margin or 0.0)
