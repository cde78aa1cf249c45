"""The values a gate compares, row by row."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.independent_units import WHOLE, pooled
from ftassets.domain.gates.report import EvalReport
from ftassets.errors import InvalidInput

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


def row_values(metric: str, scores: Sequence[Score]) -> list[float] | None:
    """The metric's value of each row; None when one has none. Raises InvalidInput, with row and metric, on NaN or infinity."""
    if metric in ("exact_match", WHOLE):
        found = [float(each.exact) for each in scores]
    elif metric == "field_accuracy":
        found = [each.fields for each in scores]
    elif all(metric in each.values for each in scores):
        found = [each.values[metric] for each in scores]
    else:
        return None
    for each, value in zip(scores, found, strict=True):
        if not isfinite(value):
            raise InvalidInput(f"row {each.id}: {metric} is {value}, which is not a score: measure again")
    return found


def clipped(values: Sequence[float], top: float) -> tuple[list[float], int]:
    """The values with those outside 0 to `top` moved to its ends, and how many these are."""
    found = [min(max(value, 0.0), top) for value in values]
    return found, sum(before != after for before, after in zip(values, found, strict=True))


def mean_value(gate: "Gate", report: EvalReport, role: str) -> float | None:
    """Plain mean of a role's values, of conversations where rows are answers of one; None without rows, or when one has no value.

    Raises ValueError as `row_values` does.
    """
    rows = report.rows(role, gate.slice)
    values = row_values(gate.metric, rows)
    return float(np.mean(pooled(gate.metric, rows, values))) if values else None
