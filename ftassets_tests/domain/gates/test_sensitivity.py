"""What a gate's rows can show, against simulation through the gate itself."""

import numpy as np
import pytest

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets_tests.domain.gates.reports import report, rows

NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.1)


def passes(gate: Gate, candidate: np.ndarray, production: np.ndarray) -> bool:
    made = report(rows(candidate.tolist(), gate.metric), rows(production.tolist(), gate.metric))
    return evaluate_gates([gate], made)[0].verdict is Verdict.PASS


def test_an_equal_model_passes_as_often_as_said() -> None:
    rng, n = np.random.default_rng(0), 120
    sides = [1.0] * 108 + [0.0] * 6 + [1.0] * 6, [1.0] * 108 + [1.0] * 6 + [0.0] * 6
    found = sensitivity(NO_WORSE, report(rows(sides[0]), rows(sides[1])))
    assert found is not None
    assert found.assumed == 0.0
    cells = rng.choice(3, (300, n), p=[0.9, 0.05, 0.05])
    simulated = np.mean([passes(NO_WORSE, (each != 1).astype(float), (each != 2).astype(float)) for each in cells])
    assert found.power == pytest.approx(simulated, abs=0.08)  # three standard errors


@pytest.mark.parametrize(
    "gate",
    [
        Gate(metric="exact_match", better_than="production"),
        Gate(metric="rouge.rougeL", better_than="production"),
        Gate(metric="exact_match", at_least=0.8),
        Gate(metric="output_length.mean", no_worse_than="production", margin=0.2),
    ],
)
def test_more_rows_show_smaller_effects(gate: Gate) -> None:
    rng = np.random.default_rng(1)
    scale = 300.0 if gate.metric.startswith("output") else 1.0
    ours, theirs = scale * rng.beta(6, 2, (2, 400)).round(2)
    found = []
    for n in (100, 400):
        each = sensitivity(gate, report(rows(ours[:n].tolist(), gate.metric), rows(theirs[:n].tolist(), gate.metric)))
        assert each is not None
        found.append(each)
    few, many = found
    assert 0 <= few.power <= many.power + 0.05
    assert few.detectable is not None
    assert many.detectable is not None
    lower = gate.kind.value.lower_is_better
    assert many.detectable > few.detectable if lower else many.detectable < few.detectable


def test_gates_without_a_value_for_each_row_have_none() -> None:
    made = report(rows([1.0] * 9), rows([1.0] * 9))
    others = [Gate(metric="latency_p95", at_most=9.0), Gate(metric="f1", at_least=0.5), Gate(preset="task_accuracy")]
    assert [sensitivity(each, made) for each in others] == [None] * 3
    assert sensitivity(NO_WORSE, report([])) is None


def of_classes(right: dict[str, list[bool]]) -> list[Score]:
    return [
        Score(id=f"{label}{n}", slice="golden", exact=r, fields=float(r), valid=True, expected=label, predicted=label if r else "other")
        for label, each in right.items()
        for n, r in enumerate(each)
    ]


def test_recall_of_every_class_passes_as_often_as_said() -> None:
    gate, rng = Gate(metric="recall", at_least=0.7), np.random.default_rng(2)
    sizes = {"a": 90, "b": 60, "c": 45}
    found = sensitivity(gate, report(of_classes({label: [n % 5 > 0 for n in range(size)] for label, size in sizes.items()})))
    assert found is not None
    assert found.assumed == pytest.approx(0.74)
    assert found.detectable is not None
    simulated = []
    for _ in range(300):
        drawn = {label: (rng.random(size) < found.detectable).tolist() for label, size in sizes.items()}
        simulated.append(evaluate_gates([gate], report(of_classes(drawn)))[0].verdict is Verdict.PASS)
    assert np.mean(simulated) == pytest.approx(0.8, abs=0.07)
    alone = sensitivity(gate.model_copy(update={"label": "c"}), report(of_classes({"c": [True] * 45})))
    assert alone is not None
    assert alone.detectable is not None
    assert alone.detectable < found.detectable, "all of three classes must pass"
    missing = report(of_classes({"a": [True] * 9})).model_copy(update={"classes": ("a", "b")})
    assert sensitivity(gate, missing) is None, "a class without rows never passes"
