"""The caller's condition against the loop's policy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.f1 import labels
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import macro_f1
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.gate_service.condition import NAME, evaluate_caller, policy_f1

AT_LEAST = Gate(metric="f1", at_least=0.8)
BETTER = Gate(metric="f1", better_than="production")
NO_WORSE = Gate(metric="f1", no_worse_than="production", margin=0.1)
OTHERS = [Gate(metric="exact_match", at_least=0.99), Gate(metric="f1", slice="hard", at_least=0.99)]


def scores(right: int, n: int, labelled: bool = True) -> list[Score]:
    """The first `right` of n rows of two classes have the right label."""
    expected = [f"class {number % 2}" for number in range(n)]
    said = [label if number < right else "(none)" for number, label in enumerate(expected)]
    labels = [{"expected": e, "predicted": p} if labelled else {} for e, p in zip(expected, said, strict=True)]
    return [Score(id=str(number), slice="golden", exact=number < right, fields=1, valid=True, **labels[number]) for number in range(n)]


def report(candidate: list[Score], production: list[Score]) -> EvalReport:
    return EvalReport(
        loop="support", run_id="r", candidate="a", production="b", production_is_base=False, base="c", dataset_commit="d",
        golden_commit="e", policy_digest="f", generation={}, latency_ms={}, answers={},
        scores={"candidate": candidate, "production": production},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("gates", "wanted"),
    [
        ([], None),
        (OTHERS, None),
        ([AT_LEAST], 0.8),
        ([BETTER], 0.6),
        ([NO_WORSE], 0.5),
        ([Gate(preset="f1")], 0.6),
        ([NO_WORSE, AT_LEAST, BETTER], 0.8),
    ],
)
def test_the_policy_asks_for_the_strictest_of_its_f1_gates(gates: list[Gate], wanted: float | None) -> None:
    assert policy_f1(gates, 0.6) == wanted


def test_a_looser_wish_is_ignored_and_said() -> None:
    result, note = evaluate_caller(0.2, [AT_LEAST], report(scores(140, 200), scores(100, 200)))
    assert (result.name, result.threshold, result.verdict) == (NAME, 0.8, Verdict.NOT_ENOUGH_DATA)
    assert note is not None
    assert "0.200, is looser than the loop's policy, 0.800" in note


def test_a_stricter_wish_counts() -> None:
    result, note = evaluate_caller(0.95, [AT_LEAST], report(scores(160, 200), scores(100, 200)))
    assert (result.threshold, result.verdict, note) == (0.95, Verdict.FAIL, None)


def test_without_a_gate_on_f1_the_wish_stands_alone() -> None:
    result, note = evaluate_caller(0.2, [], report(scores(180, 200), scores(200, 200)))
    assert (result.threshold, result.verdict, note) == (0.2, Verdict.PASS, None)


def test_ten_right_answers_prove_no_perfect_model() -> None:
    assert evaluate_caller(0.95, [], report(scores(10, 10), scores(5, 10)))[0].verdict is Verdict.NOT_ENOUGH_DATA
    assert evaluate_caller(0.95, [], report(scores(400, 400), scores(5, 400)))[0].verdict is Verdict.PASS


@pytest.mark.parametrize("rows", [scores(5, 10, labelled=False), []])
def test_rows_without_labels_decide_nothing(rows: list[Score]) -> None:
    assert evaluate_caller(-1.0, [AT_LEAST], report(rows, rows))[0].verdict is Verdict.NOT_ENOUGH_DATA


@given(
    wanted=st.floats(-1, 2), right=st.integers(0, 60), now=st.integers(0, 60), gates=st.sampled_from([[AT_LEAST], [BETTER], [NO_WORSE], []])
)
def test_no_wish_lowers_the_bar(wanted: float, right: int, now: int, gates: list[Gate]) -> None:
    found = report(scores(right, 60), scores(now, 60))
    policy = policy_f1(gates, macro_f1(*labels(found.scores["production"])))  # type: ignore[misc]
    result, note = evaluate_caller(wanted, gates, found)
    if policy is None or wanted >= policy:
        assert (result.threshold, note) == (wanted, None)
    else:  # the loop's own test decides, however small the wish
        assert note is not None
        assert result.verdict is evaluate_gates(gates, found)[0].verdict
