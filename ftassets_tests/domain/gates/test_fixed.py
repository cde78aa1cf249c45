"""Gates with a fixed bound."""

import numpy as np
import pytest
from scipy.stats import beta

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets_tests.domain.gates.reports import labelled, report, rows

FAST = Gate(metric="latency_p95", at_most=2000)


def of(gate: Gate, values: list[float], metric: str = "rouge.rougeL") -> GateResult:
    return evaluate_gates([gate], report(rows(values, metric)))[0]


@pytest.mark.parametrize(
    ("right", "verdict"),
    [(100, Verdict.PASS), (97, Verdict.PASS), (92, Verdict.NOT_ENOUGH_DATA), (85, Verdict.NOT_ENOUGH_DATA), (83, Verdict.FAIL)],
)
def test_the_lower_bound_of_a_share_must_reach_the_limit(right: int, verdict: Verdict) -> None:
    assert of(Gate(metric="exact_match", at_least=0.9), [1.0] * right + [0.0] * (100 - right)).verdict is verdict


def test_an_estimate_below_the_limit_alone_is_no_fail() -> None:
    few = of(Gate(metric="exact_match", at_least=0.9), [1.0] * 8 + [0.0])
    assert (few.verdict, few.fail_bound) == (Verdict.NOT_ENOUGH_DATA, pytest.approx(beta.ppf(0.95, 9, 1)))


def test_a_share_that_must_stay_low_is_the_mirror_image() -> None:
    few = [1.0] * 3 + [0.0] * 97
    up = of(Gate(metric="exact_match", at_least=0.9), [1.0 - value for value in few])
    down = of(Gate(metric="refusal_rate.refusal_rate", at_most=0.1), few, "refusal_rate.refusal_rate")
    assert down.verdict is up.verdict is Verdict.PASS
    assert down.bound == pytest.approx(1 - (up.bound or 0))


def test_means_of_rows_against_a_bar() -> None:
    rng = np.random.default_rng(1)
    values = rng.uniform(0.8, 1.0, 300).tolist()
    assert of(Gate(metric="bertscore.f1", at_least=0.88), values, "bertscore.f1").verdict is Verdict.PASS
    assert of(Gate(metric="bertscore.f1", at_least=0.95), values, "bertscore.f1").verdict is Verdict.FAIL
    assert of(Gate(metric="bertscore.f1", at_least=0.88), values[:4], "bertscore.f1").verdict is Verdict.NOT_ENOUGH_DATA
    lengths = rng.uniform(50, 150, 300).tolist()
    assert of(Gate(metric="output_length.mean", at_most=120), lengths, "output_length.mean").verdict is Verdict.PASS
    assert of(Gate(metric="output_length.mean", at_most=90), lengths, "output_length.mean").verdict is Verdict.FAIL


def test_a_mean_at_the_bar_seldom_passes() -> None:
    rng, runs, true = np.random.default_rng(2), 60, 0.97
    gate = Gate(metric="bertscore.f1", at_least=true)
    draws = rng.beta(true * 8, (1 - true) * 8, (runs, 100))
    assert sum(of(gate, each.tolist(), "bertscore.f1").verdict is Verdict.PASS for each in draws) / runs <= 0.1


def test_macro_f1_against_a_bar() -> None:
    expected = ["a"] * 100 + ["b"] * 100
    wrong = ["b"] * 4 + expected[4:]
    assert evaluate_gates([Gate(metric="f1", at_least=0.9)], report(labelled(expected, wrong)))[0].verdict is Verdict.PASS
    assert evaluate_gates([Gate(metric="f1", at_least=0.97)], report(labelled(expected, wrong)))[0].verdict is Verdict.NOT_ENOUGH_DATA
    assert evaluate_gates([Gate(metric="f1", at_least=0.999)], report(labelled(expected, wrong)))[0].verdict is Verdict.FAIL


def test_rows_without_a_fault_prove_no_more_than_the_exact_bound() -> None:
    for n in (10, 40, 100):
        exact = beta.ppf(0.05, n, 1)  # Clopper and Pearson, all right
        fields = of(Gate(metric="field_accuracy", at_least=0.5), [1.0] * n, "field_accuracy")
        classes = evaluate_gates([Gate(metric="f1", at_least=0.5)], report(labelled(["a"] * n, ["a"] * n)))[0]
        assert fields.bound == pytest.approx(exact, abs=0.01)
        assert classes.bound == pytest.approx(2 * exact / (1 + exact), abs=0.01)  # the F1 of that share


def test_the_upper_bound_of_the_latency_must_stay_below_the_limit() -> None:
    def fast(times: list[float]) -> GateResult:
        return evaluate_gates([FAST], report([], latency={"candidate": times}))[0]

    assert fast([100.0 + i for i in range(150)]).verdict is Verdict.PASS
    assert fast([100.0] * 120 + [2500.0] * 30).verdict is Verdict.FAIL
    for slow in (6, 9):  # the estimate is on one side of the limit, then on the other
        assert fast([100.0] * (150 - slow) + [2500.0] * slow).verdict is Verdict.NOT_ENOUGH_DATA
    assert fast([100.0] * 19).verdict is Verdict.NOT_ENOUGH_DATA
    few = fast([100.0] * 40)
    assert (few.verdict, few.rows_needed) == (Verdict.NOT_ENOUGH_DATA, 59)
    assert fast([100.0] * 59).verdict is Verdict.PASS


def test_a_p95_at_the_bound_seldom_passes() -> None:
    rng, runs = np.random.default_rng(5), 1000
    limit = 2000 / np.exp(1.6448536 * 0.4)  # the median whose 95th percentile is 2 s
    times = limit * rng.lognormal(0, 0.4, (runs, 150))
    passes = sum(evaluate_gates([FAST], report([], latency={"candidate": each.tolist()}))[0].verdict is Verdict.PASS for each in times)
    assert passes / runs <= 0.06


def test_a_time_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="request 1 of candidate: its latency"):
        evaluate_gates([FAST], report([], latency={"candidate": [1.0, float("nan")] * 20}))
