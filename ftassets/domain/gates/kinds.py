"""What a gate may be on: one entry a kind, from which schema, messages, evaluation, planning and measuring follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ftassets.domain.evaluation.forgetting import REFERENCES
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.evaluation.metrics import CATALOGUE, RowValue, objection, row_value
from ftassets.domain.evaluation.sampled_answers import SAMPLED
from ftassets.domain.gates import cost, f1, forgetting, human_review, latency, llm_judge, parity, recall
from ftassets.domain.gates.fixed import evaluate_fixed
from ftassets.domain.gates.independent_units import WHOLE
from ftassets.domain.gates.measured import mean_value
from ftassets.domain.gates.paired import evaluate_paired
from ftassets.domain.gates.planning import rows_chance
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

Comparison = Literal["better_than", "no_worse_than", "at_least", "at_most"]
RowGroup = Literal["golden", "held_out", "sets"]
COMPARISONS: tuple[Comparison, ...] = ("better_than", "no_worse_than", "at_least", "at_most")


@dataclass(frozen=True)
class GateKind:
    """One kind of gate.

    - `value`: properties of a row's value.
    - `evaluate`: the verdict on a report, given the human review of its sample.
    - `plan`: for the assumed effect, discordance and spread (see `planning`), the chance to pass by number of rows; or why that is
      not known before the first report.
    - `compared_with`: the comparisons that make sense.
    - `groups`: the rows whose slices may be compared. Empty: the gate takes no slice and is on all golden rows.
    - `counts`: what the evidence consists of: the `rows` of the slice, `pairs` of requests, a `sample` of golden rows,
      or general `prompts`.
    - `average`: a role's plain average, which the usual reading of a preset compares.
    - `objection`: why a loop cannot have the gate, None when it can.
    """

    value: RowValue
    evaluate: "Callable[[Gate, EvalReport, Review | None], GateResult]"
    plan: "Callable[[Gate, float, float, float], Callable[[int], float] | str]"
    compared_with: tuple[Comparison, ...] = COMPARISONS
    groups: tuple[RowGroup, ...] = ("golden", "held_out")
    counts: Literal["rows", "pairs", "sample", "prompts"] = "rows"
    average: "Callable[[Gate, EvalReport, str], float | None] | None" = None
    objection: "Callable[[LoopConfig], str | None]" = lambda loop: None


def _evaluate_rows(gate: "Gate", report: EvalReport, review: Review | None = None) -> GateResult:
    return evaluate_paired(gate, report) if gate.better_than or gate.no_worse_than else evaluate_fixed(gate, report)


_ROWS = GateKind(RowValue(None), _evaluate_rows, rows_chance, average=mean_value)
_EVERYWHERE: tuple[RowGroup, ...] = ("golden", "held_out", "sets")

KINDS: dict[str, GateKind] = {
    "exact_match": replace(_ROWS, value=CATALOGUE["exact_match"].row_values["exact_match"], groups=_EVERYWHERE),
    SAMPLED: replace(
        _ROWS,
        value=RowValue(),
        objection=lambda loop: (
            None if loop.task.temperature else f"a gate on {SAMPLED} needs task.temperature above 0: at 0 answers are not sampled"
        ),
    ),
    "field_accuracy": replace(
        _ROWS,
        value=CATALOGUE["field_accuracy"].row_values["field_accuracy"],
        groups=_EVERYWHERE,
        objection=lambda loop: objection("field_accuracy", loop.task.form),
    ),
    "f1": GateKind(f1.VALUE, f1.evaluate_f1, f1.plan, average=f1.average, objection=f1.objection),
    "recall": GateKind(
        recall.VALUE,
        recall.evaluate_recall,
        rows_chance,
        compared_with=("better_than", "no_worse_than", "at_least"),
        objection=recall.objection,
    ),
    "cost": GateKind(
        cost.VALUE,
        cost.evaluate_cost,
        rows_chance,
        compared_with=("better_than", "no_worse_than", "at_most"),
        objection=cost.objection,
    ),
    WHOLE: replace(
        _ROWS,
        value=CATALOGUE["exact_match"].row_values["exact_match"],
        groups=("golden",),
        objection=lambda loop: None if loop.golden_turns == "every" else f"a gate on {WHOLE} needs `golden_turns: every`",
    ),
    "latency_p95": GateKind(
        latency.VALUE,
        latency.evaluate_latency,
        latency.plan,
        compared_with=("no_worse_than", "at_most"),
        groups=(),
        counts="pairs",
        average=latency.average,
    ),
    "parity": GateKind(parity.VALUE, parity.evaluate_parity, parity.plan, compared_with=("at_least",), groups=(), counts="sample"),
    **{
        f"{forgetting.PREFIX}{role}": GateKind(
            forgetting.VALUE,
            forgetting.evaluate_forgetting,
            forgetting.plan,
            compared_with=("at_most",),
            groups=(),
            counts="prompts",
        )
        for role in REFERENCES
    },
    "llm_judge": GateKind(
        llm_judge.VALUE,
        llm_judge.evaluate_llm_judge,
        llm_judge.plan,
        compared_with=("better_than", "no_worse_than"),
        groups=("golden",),
        counts="sample",
        objection=llm_judge.objection,
    ),
    "human_review": GateKind(
        human_review.VALUE,
        human_review.evaluate_human_review,
        human_review.plan,
        compared_with=("at_least",),
        groups=("golden",),
        counts="sample",
    ),
}


def kind_of(metric: str) -> GateKind:
    """The kind of a gate on this metric. Raises KeyError when there is neither such a gate nor a dot, as in rouge.rougeL, in the name."""
    return KINDS[metric] if metric in KINDS or "." not in metric else replace(_ROWS, value=row_value(metric))
