"""Whether a loop can have its gates and metrics: they apply to its task, what gates compare is measured, and slices have values."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.canonical import composed
from ftassets.domain.evaluation.metrics import CATALOGUE, objection
from ftassets.domain.gates.classes import named_by
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.kinds import KINDS, RowGroup
from ftassets.domain.gates.presets import as_gate, single_gates
from ftassets.domain.gates.report import HELD_OUT

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate


def gate_objections(loop: "LoopConfig") -> list[str]:
    """Why the loop cannot have its gates, in words; empty when it can."""
    found = [loop_gate.kind.objection(loop) for loop_gate in single_gates(loop.gates)]
    problems = list(dict.fromkeys([text for text in found if text])) + missing_metrics(loop.gates, loop.metrics)
    return problems + _slices_without_values(loop) + _unknown_labels(loop) + _without_schema(loop) + _of_independent_rows(loop)


def metric_objections(loop: "LoopConfig") -> list[str]:
    """Why the loop's answers cannot have metrics it lists, in words; empty when they can."""
    return [text for name in loop.metrics if (text := objection(name, loop.task.form))]


def missing_metrics(gates: "Sequence[Gate]", metrics: Sequence[str]) -> list[str]:
    """What is wrong with the gates' metrics, in words, given the metrics the loop lists; empty when each can be compared row by row.

    A metric of the user's own (module:Class) is taken at its word here; the report is refused when it gives no values for each row.
    """
    rows = [name for name, kind in KINDS.items() if kind.counts == "rows"]
    known = rows + [f"{name}.{value}" for name in metrics if name in CATALOGUE for value in CATALOGUE[name].row_values]
    problems = []
    for metric in dict.fromkeys(gate.metric for gate in single_gates(gates) if "." in gate.metric):
        name, _, value = metric.rpartition(".")
        if name not in metrics:
            names = f"a gate on {metric} needs {name!r} among the loop's `metrics`"
        elif ":" in name or metric in known:
            continue
        else:
            hint = f"; write {name} alone, which is a gate metric of its own" if name in KINDS else ""
            names = f"{metric} has no value for each row, so that two versions cannot be compared by it{hint}"
        problems.append(f"{names}; with these metrics a gate may be on {', '.join(known)}")
    return problems


def _unknown_labels(loop: "LoopConfig") -> list[str]:
    known = composed(loop.task.labels or [])
    names = dict.fromkeys(name for gate in single_gates(loop.gates) for name in named_by(gate))
    return [
        f"a gate is on class {name!r}, which is not one of the task's labels: {some(known)}"
        for name in names
        if known and name not in known
    ]


def _without_schema(loop: "LoopConfig") -> list[str]:
    asked = loop.task.call_schema is None and any(gate.metric == "tool_calls.schema_valid" for gate in single_gates(loop.gates))
    return ["a gate on tool_calls.schema_valid needs `task.call_schema`; without one compare validity.validity"] if asked else []


def _of_independent_rows(loop: "LoopConfig") -> list[str]:
    if loop.golden_turns == "last":
        return []
    names = [name for name in ("f1", "llm_judge", "human_review") if any(gate.metric == name for gate in single_gates(loop.gates))]
    return [
        f"a gate on {name} counts rows as independent, and with `golden_turns: every` answers of one conversation are not: "
        "compare exact_match, whole_conversation or recall, or leave golden_turns out"
        for name in names
    ]


def _slices_without_values(loop: "LoopConfig") -> list[str]:
    further = {each.name for each in loop.sets}
    problems = []
    for gate in (single for each in loop.gates for single in (each.any_of or [each])):
        group: RowGroup = "sets" if gate.slice in further else "held_out" if gate.slice == HELD_OUT else "golden"
        if gate.slice and group not in as_gate(gate).kind.groups:
            everywhere = " or ".join(name for name, kind in KINDS.items() if "sets" in kind.groups)
            problems.append(f"{gate.metric or gate.preset} has no value for rows of {gate.slice}: gate these rows on {everywhere}")
    return problems
