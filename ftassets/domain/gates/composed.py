"""Gates made of others: one of several must pass, and well-known rules."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ftassets.domain.gates.presets import RULES, as_gate, usual_reading
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.statistics import holm
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

Evaluate = Callable[["Gate"], GateResult]


def members(gate: "Gate") -> "list[Gate]":
    """The gates of any_of, each at the confidence at which Holm's procedure begins to reject: 1 - alpha / k for k gates."""
    return [each.model_copy(update={"confidence": 1 - (1 - gate.confidence) / len(gate.any_of)}) for each in gate.any_of]


def evaluate_any_of(gate: "Gate", evaluate: Evaluate) -> GateResult:
    """PASS when any gate's p-value survives Holm's correction (Holm 1979); one without a p-value cannot. FAIL when all FAIL.

    How many rows would tell is known of each gate alone: it is in that gate's sentence.
    """
    results = [evaluate(each) for each in members(gate)]
    adjusted = holm([1.0 if r.p_value is None else r.p_value for r in results])
    best = min(zip(adjusted, results, strict=True), key=lambda pair: pair[0])[1]
    if min(adjusted) < 1 - gate.confidence:
        verdict = Verdict.PASS
    else:
        # a member that passed on its own test without surviving the correction is short of data, too
        verdict = Verdict.FAIL if all(r.verdict is Verdict.FAIL for r in results) else Verdict.NOT_ENOUGH_DATA
    each = "; ".join(f"{r.name}: {r.sentence}, with Holm {p:.2g}" for p, r in zip(adjusted, results, strict=True))
    return GateResult.of(
        gate, verdict, best.value, best.bound, best.threshold, best.n, 
            f"smallest p of {amount(len(results), 'gate')} "
            "with Holm's correction "
        f"{min(adjusted):.2g}, needs < {1 - gate.confidence:.2g} ({each})", p_value=min(adjusted),
    )  # fmt: skip


def evaluate_preset(gate: "Gate", report: EvalReport, evaluate: Evaluate) -> GateResult:
    """The verdict of the gate a preset stands for; the sentence ends with what the usual reading would have given."""
    rule, stands_for = RULES[gate.preset or ""], as_gate(gate)
    result = evaluate(stands_for)
    average = stands_for.kind.average
    candidate, production = (average(stands_for, report, role) if average else None for role in ("candidate", "production"))
    if candidate is None or (production is None and rule.bar is None):
        verdict = "nothing, for it was not measured"
    else:
        verdict = "pass" if usual_reading(rule, candidate, production or 0.0) else "fail"
    text = f"{result.sentence}; the usual reading, {rule.statement}, would have given {verdict}"
    return result.model_copy(update={"name": gate.name, "sentence": text})
