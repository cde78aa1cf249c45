"""Well-known promotion rules: the gate that each becomes, compared with its usual reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate


@dataclass(frozen=True)
class Rule:
    """One named rule. `effect` is the gain over production a plan looks for; `bar` replaces production by a fixed value.

    `lower_is_better`: the scores are milliseconds, of which the 95th percentile counts; otherwise they are between 0 and 1.
    """

    name: str
    statement: str
    metric: str
    effect: float = 0.0
    bar: float | None = None
    at_least: bool = False  # reaching the threshold is enough for the usual reading
    lower_is_better: bool = False


RULES = {
    rule.name: rule
    for rule in (
        Rule("rouge_l", "ROUGE-L > production + 0.02", "rouge.rougeL", effect=0.02),
        Rule("bertscore_f1", "BERTScore F1 > 0.88", "bertscore.f1", bar=0.88),
        Rule("task_accuracy", "task accuracy > production", "exact_match"),
        Rule("latency", "p95 < 2 s", "latency_p95", bar=2000.0, lower_is_better=True),
        Rule("f1", "F1 >= production + 0.05", "f1", effect=0.05, at_least=True),
    )
}


def usual_reading(rule: Rule, candidate: float, production: float) -> bool:
    """What the rule says when two averages (for latency 95th percentiles, in milliseconds) are just compared."""
    if rule.bar is not None:
        return candidate < rule.bar if rule.lower_is_better else candidate > rule.bar
    # rounded: whether a gain of exactly the effect passes must not hang on the last bit of a sum
    gain = round(candidate - production - rule.effect, 12)
    return gain >= 0 if rule.at_least else gain > 0


def as_gate(gate: "Gate") -> "Gate":
    """The gate of a preset: significantly better than production (or than the bar), however small the gain.

    The effect is used to plan the number of rows, not as a second threshold: a true gain of that size would then fail in half of
    the cases. Any other gate is returned unchanged.
    """
    if gate.preset is None:
        return gate
    rule = RULES[gate.preset]
    if rule.bar is None:
        comparison: dict[str, object] = {"better_than": "production"}
    else:
        comparison = {"at_most" if rule.lower_is_better else "at_least": rule.bar}
    shared = gate.model_dump(include={"slice", "labels", "pairs", "confidence"})
    # gate.py takes the names of its schema from here, so that Gate itself cannot be imported
    return type(gate).model_validate({**shared, **comparison, "metric": rule.metric})


def single_gates(gates: "Sequence[Gate]") -> "list[Gate]":
    """All gates that compare one metric: presets as what they stand for, any_of as its members."""
    return [as_gate(each) for gate in gates for each in (gate.any_of or [gate])]
