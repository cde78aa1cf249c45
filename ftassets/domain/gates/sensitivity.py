"""What a gate's rows can show: its chance to pass, and the smallest true effect that it passes reliably."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from ftassets.domain.evaluation.answer_form import NO_LABEL
from ftassets.domain.gates.classes import classes_of
from ftassets.domain.gates.cost import with_costs
from ftassets.domain.gates.evidence import Ends
from ftassets.domain.gates.fixed import bar
from ftassets.domain.gates.independent_units import pooled
from ftassets.domain.gates.measured import clipped, row_values
from ftassets.domain.gates.paired import differences_of, right_or_wrong, same_rows
from ftassets.domain.gates.recall import of_class
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.power import EFFECT, POWER, pairs_power, resampled_power, share_power

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

_HALVINGS = 10


@dataclass(frozen=True)
class Sensitivity:
    """The chance to pass if the true value is `assumed`, and the smallest true value that passes in 80 % of cases.

    The values are gains over production, or of the metric itself for a fixed bound; assumed is an equal model for no_worse_than, else
    one better by `EFFECT` of the scale. Both take the spread of the report's rows for the true one. `detectable` is None when no
    value passes so often. On the recall of every class: the value that each class has, and the chance that all pass.
    """

    assumed: float
    power: float
    detectable: float | None


def sensitivity(gate: "Gate", report: EvalReport) -> Sensitivity | None:
    """The sensitivity of a gate on a value that each row has; None for other gates, and without rows, of a class too."""
    if gate.any_of or gate.preset or gate.kind.counts != "rows" or gate.metric == "f1":
        return None
    parts = [report]
    if gate.metric == "recall":
        parts = [of_class(report, label) for label in classes_of(gate, report) if label != NO_LABEL]
    if gate.metric == "cost" and report.costs:
        gate, report = with_costs(gate, report)
        parts = [report]
    chances = []
    for part in parts:
        if (found := _compared(gate, part)) is None:
            return None
        values, (low, top), limit, sign = found
        chances.append(_chance_of(gate, part, values, (low, top), limit))
    if not chances:
        return None

    def chance(true: float) -> float:
        return prod(each(true) for each in chances)

    assumed = min(limit + EFFECT * gate.top, top)
    if gate.no_worse_than:  # an equal model; a relative margin is part of the differences
        assumed = gate.margin * _mean_of(gate, report) if gate.kind.value.relative_margin and gate.margin else 0.0
    detectable = _smallest(chance, limit, top)
    return Sensitivity(sign * assumed, chance(assumed), None if detectable is None else sign * detectable)


def _chance_of(gate: "Gate", report: EvalReport, values: list[float], ends: Ends, limit: float) -> Callable[[float], float]:
    """The chance to pass by the true mean of what must be above the limit: exact for right or wrong."""
    alpha = 1 - gate.confidence
    if not right_or_wrong(gate, report.rows("candidate", gate.slice)):
        return _chance(values, ends, limit, alpha)
    if gate.better_than or gate.no_worse_than:
        return _pairs_chance(values, limit, alpha)
    return lambda true: share_power(len(values), true - ends[0], limit - ends[0], gate.confidence)


def _compared(gate: "Gate", report: EvalReport) -> tuple[list[float], Ends, float, int] | None:
    """What must be above the limit, a value a row; its ends, the limit, and -1 where it is the negative of what people read."""
    if gate.better_than or gate.no_worse_than:
        candidate, production = same_rows(gate, report)
        ours, theirs = row_values(gate.metric, candidate), row_values(gate.metric, production)
        if not ours or not theirs:
            return None
        return differences_of(gate, pooled(gate.metric, candidate, ours), pooled(gate.metric, production, theirs))
    rows = report.rows("candidate", gate.slice)
    values = row_values(gate.metric, rows)
    if not values:
        return None
    values = pooled(gate.metric, rows, values)
    sign, top = 1 if gate.at_least is not None else -1, gate.top
    return [sign * value for value in clipped(values, top)[0]], (0.0, top) if sign > 0 else (-top, 0.0), sign * bar(gate), sign


def _mean_of(gate: "Gate", report: EvalReport) -> float:
    return float(np.mean(clipped(row_values(gate.metric, report.rows("production", gate.slice)) or [0.0], gate.top)[0]))


def _pairs_chance(values: list[float], limit: float, alpha: float) -> Callable[[float], float]:
    """By the true difference, for as many rows on which only one of the two is right."""
    differing = float(np.mean(np.abs(values)))

    def chance(true: float) -> float:
        discordance = max(differing, abs(true))
        return pairs_power(len(values), (discordance + true) / 2, (discordance - true) / 2, limit, alpha)

    return chance


def _chance(values: list[float], ends: Ends, limit: float, alpha: float) -> Callable[[float], float]:
    """By the true mean, for rows that are spread as these."""
    mean = float(np.mean(values))
    return lambda true: resampled_power(values, len(values), mean - (true - limit), ends[0], alpha)


def _smallest(chance: Callable[[float], float], limit: float, high: float) -> float | None:
    if chance(high) < POWER:
        return None
    low = limit
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= POWER else (middle, high)
    return high
