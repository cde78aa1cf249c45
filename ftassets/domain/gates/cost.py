"""Mean cost of the answers: what mistakes cost by `task.costs`."""

from typing import TYPE_CHECKING

from ftassets.domain.evaluation import metrics
from ftassets.domain.evaluation.costs import cost_of, largest
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.fixed import evaluate_fixed
from ftassets.domain.gates.paired import evaluate_paired, no_rows, not_measured
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None, lower_is_better=True)  # the largest cost is the loop's


def evaluate_cost(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict on the mean cost of a row, by the costs the report was made with. Raises ValueError as other gates on rows do."""
    rows = report.rows("candidate", gate.slice)
    if not rows:
        return no_rows(gate)
    if not report.costs or any(score.expected is None for score in rows):
        return not_measured(gate, len(rows))
    asked, costed = with_costs(gate, report)
    return evaluate_paired(asked, costed) if gate.better_than or gate.no_worse_than else evaluate_fixed(asked, costed)


def with_costs(gate: "Gate", report: EvalReport) -> tuple["Gate", EvalReport]:
    """The gate with the largest cost as the end of its scale, and the report with the value `cost` of each row that has a class."""

    def costed(score: Score) -> Score:
        if score.expected is None or score.predicted is None:
            return score
        return score.model_copy(update={"values": {"cost": cost_of(report.costs, score.expected, score.predicted)}})

    scores = {role: [costed(score) for score in rows] for role, rows in report.scores.items()}
    return gate.model_copy(update={"clip": largest(report.costs)}), report.model_copy(update={"scores": scores})


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop cannot have a gate on costs, None when it can."""
    if why := metrics.objection("cost", loop.task.form):
        return why
    if loop.task.costs is None:
        return "a gate on cost needs `task.costs`: what each mistake costs, by expected class and the class that the answer names"
    top = largest(loop.task.costs)
    if any(gate.metric == "cost" and gate.at_most is not None and not 0 < gate.at_most < top for gate in loop.gates):
        return f"with costs from 0 to {top:g}, no number of rows can show that cost is at most 0, and it always is at most {top:g}"
    if any(gate.metric == "cost" and (gate.margin or 0) >= top for gate in loop.gates):
        return f"with costs from 0 to {top:g}, a margin of {top:g} or more would let any cost pass"
    return None
