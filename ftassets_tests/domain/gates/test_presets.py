"""Named rules: what their usual reading says, and the gates they stand for."""

import pytest

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.presets import RULES, as_gate, naive, single_gates


def test_the_rules_are_the_known_ones() -> None:
    assert [rule.statement for rule in RULES.values()] == [
        "ROUGE-L > production + 0.02", "BERTScore F1 > 0.88", "task accuracy > production", "p95 < 2 s", "F1 >= production + 0.05",
    ]  # fmt: skip
    assert all(name == rule.name for name, rule in RULES.items())


@pytest.mark.parametrize(
    ("name", "candidate", "production", "says"),
    [
        ("rouge_l", [0.52, 0.62], [0.5, 0.6], False),  # exactly two points
        ("rouge_l", [0.53, 0.62], [0.5, 0.6], True),
        ("bertscore_f1", [0.88, 0.88], [0.1, 0.1], False),
        ("bertscore_f1", [0.89, 0.88], [0.99, 0.99], True),
        ("task_accuracy", [1, 0, 1], [1, 1, 0], False),
        ("task_accuracy", [1, 1, 1], [1, 1, 0], True),
        ("latency", [1900.0] * 99 + [9000.0], [1.0] * 100, True),
        ("latency", [1900.0] * 90 + [9000.0] * 10, [9999.0] * 100, False),
        ("f1", [0.65, 0.75], [0.6, 0.7], True),  # exactly five points
        ("f1", [0.64, 0.75], [0.6, 0.7], False),
    ],
)
def test_usual_readings(name: str, candidate: list[float], production: list[float], says: bool) -> None:
    assert naive(RULES[name], candidate, production) is says


@pytest.mark.parametrize("name", RULES)
def test_without_scores_nothing_passes(name: str) -> None:
    assert naive(RULES[name], [], []) is False


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
