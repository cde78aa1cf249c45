"""The values a gate compares, row by row, and whether a loop measures them at all."""

from collections.abc import Sequence
from math import isfinite

from ftassets.domain.evaluation.metrics import ROW_VALUES
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.presets import single_gates


def row_values(metric: str, scores: Sequence[Score]) -> list[float] | None:
    """The metric's value of each row; None when one has none. Raises ValueError, with row and metric, on NaN or infinity."""
    if metric == "exact_match":
        found = [float(each.exact) for each in scores]
    elif metric == "field_accuracy":
        found = [each.fields for each in scores]
    elif all(metric in each.values for each in scores):
        found = [each.values[metric] for each in scores]
    else:
        return None
    for each, value in zip(scores, found, strict=True):
        if not isfinite(value):
            raise ValueError(f"row {each.id}: {metric} is {value}, which is no score: measure again")
    return found


def missing_metrics(gates: Sequence[Gate], metrics: Sequence[str], task: str = "tool_call") -> list[str]:
    """What is wrong with the gates' metrics, in words, given the metrics the loop lists; empty when each can be compared row by row.

    `task` is the loop's task type: free text has no classes. A metric of the user's own (module:Class) is taken at its word here; the
    report is refused when it gives no values for each row.
    """
    known = [f"{name}.{value}" for name in metrics for value in ROW_VALUES.get(name, ())]
    problems = []
    for metric in dict.fromkeys(gate.metric for gate in single_gates(gates) if "." in gate.metric):
        name, _, value = metric.rpartition(".")
        if name not in metrics:
            names = f"a gate on {metric} needs {name!r} among the loop's `metrics`"
        elif ":" in name or value in ROW_VALUES.get(name, ()):
            continue
        else:
            hint = "; macro F1 is the gate metric f1" if name == "f1" else ""
            names = f"{metric} has no value for each row, so that two versions cannot be compared by it{hint}"
        problems.append(f"{names}; with these metrics a gate may be on {', '.join(['exact_match', 'field_accuracy', 'f1', *known])}")
    if task == "text" and any(gate.metric == "f1" for gate in single_gates(gates)):
        problems.append("f1 is over the classes a JSON answer names, and the task is text: compare another metric")
    return problems
