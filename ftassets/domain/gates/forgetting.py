"""A candidate must not move too far from the base, or from production, on general prompts."""

from typing import TYPE_CHECKING

from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.gates.evidence import tested
from ftassets.domain.gates.measured import clipped
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None, lower_is_better=True, clip=2.0)  # nats a token; a prompt that is 2 away reads like another model's
PREFIX = "kl_"


def evaluate_forgetting(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a gate on `kl_base` or `kl_production`: Gaffke's bounds of the mean divergence, a general prompt each."""
    role, limit, found = gate.metric.removeprefix(PREFIX), gate.at_most or 0.0, report.forgetting
    if found is None or role not in found.kl:
        why = "materialize eval_report again" if found is None else f"{role}: {found.why.get(role, 'it has no numbers')}"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, limit, 0, f"the divergence was not measured: {why}")
    values, cut = clipped(found.kl[role], gate.top)
    bounds = tested([-value for value in values], (-gate.top, 0.0), -limit, gate.confidence)
    upper, lower = -bounds.lower, -bounds.upper
    text = (
        f"{-bounds.value:.3f} nats a token from {'the base' if role == 'base' else role} on {len(values)} general prompts, "
        f"{100 * gate.confidence:g} % upper bound {upper:.3f}, lower {lower:.3f} (Gaffke), needs an upper bound of at most {limit:g}"
    )
    text += f"; {cut} of them above {gate.top:g} counted as that" if cut else ""
    return GateResult.of(gate, bounds.verdict, -bounds.value, upper, limit, len(values), text, fail_bound=lower)


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of prompts that the gate needs cannot be planned."""
    return "its prompts come with the package, and how far a training moves a model is not known before the first report"
