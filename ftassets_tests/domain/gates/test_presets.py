"""Named rules: what their usual reading says, and the gates they stand for."""

import pytest

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.presets import RULES, as_gate, single_gates, usual_reading


def test_the_rules_are_the_known_ones() -> None:
    assert [rule.statement for rule in RULES.values()] == [
        "ROUGE-L > production + 0.02", "BERTScore F1 > 0.88", "task accuracy > production", "p95 < 2 s", "F1 >= production + 0.05",
    ]  # fmt: skip
    assert all(name == rule.name for name, rule in RULES.items())


@pytest.mark.parametrize(
    ("name", "candidate", "production", "says"),
    [
        ("rouge_l", 0.57, 0.55, False),  # exactly two points
        ("rouge_l", 0.575, 0.55, True),
        ("bertscore_f1", 0.88, 0.1, False),
        ("bertscore_f1", 0.885, 0.99, True),
        ("task_accuracy", 2 / 3, 2 / 3, False),
        ("task_accuracy", 1, 2 / 3, True),
        ("latency", 1900.0, 1.0, True),
        ("latency", 9000.0, 9999.0, False),
        ("f1", 0.7, 0.65, True),  # exactly five points
        ("f1", 0.695, 0.65, False),
    ],
)
def test_usual_readings(name: str, candidate: float, production: float, says: bool) -> None:
    assert usual_reading(RULES[name], candidate, production) is says


def test_each_rule_becomes_a_gate_that_keeps_slice_and_confidence() -> None:
    gates = [as_gate(Gate(preset=name, confidence=0.9)) for name in RULES]
    assert [gate.name for gate in gates] == [
        "rouge_rougeL_better", "bertscore_f1_at_least", "exact_match_better", "latency_p95_at_most", "f1_better",
    ]  # fmt: skip
    assert [gate.at_least or gate.at_most for gate in gates] == [None, 0.88, None, 2000, None]
    assert all(gate.confidence == 0.9 for gate in gates)
    assert as_gate(Gate(preset="f1", slice="drifted")).slice == "drifted"


def test_single_gates_are_what_is_measured() -> None:
    better = Gate(metric="exact_match", better_than="production")
    both = Gate(any_of=[better, Gate(metric="f1", better_than="production")])
    assert [gate.metric for gate in single_gates([Gate(preset="latency"), both])] == ["latency_p95", "exact_match", "f1"]
