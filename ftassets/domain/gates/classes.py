"""The classes that a gate counts: those that its policy or the golden set names, never those that a sample happens to have."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ftassets.domain.canonical import composed
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.report import EvalReport

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


def classes_of(gate: "Gate", report: EvalReport) -> list[str]:
    """The gate's own `label` or `labels`, else those of the report: the task's, or those of the golden rows. In a slice, too.

    A slice that lacks a rare class by chance would else be taken for one without the class, and pass although it was lost.
    """
    if named := named_by(gate):
        return named
    # reports of the first releases do not name them
    return sorted(report.classes or {score.expected for score in report.rows("candidate", None) if score.expected is not None})


def named_by(gate: "Gate") -> list[str]:
    """The classes that the gate itself names, as answers write them; empty if it names none."""
    return sorted({composed(label) for label in ([gate.label] if gate.label else gate.labels)})


def without_rows(gate: "Gate", names: Sequence[str]) -> str:
    """That classes have no row, and what to do."""
    return f"no row is of {some(names)}: {more_rows(gate)}"


def more_rows(gate: "Gate") -> str:
    """What to do about classes that have no row, or too few."""
    if not gate.slice:
        return "add rows of each class"
    advice = f"add rows of each class to slice {gate.slice}"
    return advice if named_by(gate) else f"{advice}, or name in the gate's `labels` the classes that the slice is about"
