"""Macro F1: the value, how far chance moves it, and the gate on it."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from bench.gates import few_rows
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import _moved_by_a_row, gain_bound, loss_bound, macro_f1
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import Verdict
from ftassets_tests.domain.gates.reports import labelled, report

BETTER = Gate(metric="f1", better_than="production")
CLASSES = np.array(["a", "b", "c", "d"])


def answers(rng: np.random.Generator, expected: np.ndarray, right: float) -> list[str]:
    """Labels right with this chance, else any."""
    return np.where(rng.random(len(expected)) < right, expected, rng.choice(CLASSES, len(expected))).tolist()


def test_the_value_is_the_one_of_the_library() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    expected = rng.choice(CLASSES, 200, p=[0.7, 0.2, 0.08, 0.02])
    said = [*answers(rng, expected, 0.7)[:-2], "invented", "(none)"]
    assert macro_f1(expected.tolist(), said) == pytest.approx(
        f1_score(expected, said, labels=sorted(set(expected)), average="macro", zero_division=0)
    )
    with pytest.raises(ValueError, match="needs rows"):
        macro_f1([], [])


def test_bounds_repeat_enclose_the_value_and_know_that_few_rows_say_little() -> None:
    rng = np.random.default_rng(1)
    expected = rng.choice(CLASSES, 400).tolist()
    ours, theirs = answers(rng, np.array(expected), 0.8), answers(rng, np.array(expected), 0.6)
    gain, loss = (of(expected, ours, theirs, 0.0, 0.95) for of in (gain_bound, loss_bound))
    assert gain == gain_bound(expected, ours, theirs, 0.0, 0.95)
    value = macro_f1(expected, ours) - macro_f1(expected, theirs)
    assert gain.bound < value < loss.bound
    assert gain.p_value < 0.05 < loss.p_value
    swapped = loss_bound(expected, theirs, ours, 0.0, 0.95)
    assert (swapped.bound, swapped.p_value) == (-gain.bound, gain.p_value)
    same = gain_bound(["a"] * 10, ["a"] * 10, ["a"] * 10, 0.0, 0.95)
    assert same.bound < -0.1


def test_one_row_of_a_class_says_little_about_it() -> None:
    # with a recall of 0.05 in b, one row of it is right in one of 20 samples: macro F1 may then be as low as about 0.55
    expected = ["a"] * 50 + ["b"]
    assert gain_bound(expected, expected, None, 0.0, 0.95).bound < 0.58
    assert gain_bound(["a", "b"] * 25, ["a", "b"] * 25, None, 0.0, 0.95).bound > 0.9


@pytest.mark.parametrize("missed", [0.5, 0.95])
def test_a_rare_class_that_fails_is_not_passed_over_more_often_than_stated(missed: float) -> None:
    rng, runs, passed = np.random.default_rng(4), 100, 0
    shares, recall = np.array([0.5, 0.3, 0.15, 0.05]), np.array([1, 1, 1, 1 - missed])
    joint = np.diag(shares * recall)
    joint[3, 0] = shares[3] * missed
    true = float(np.mean(2 * np.diag(joint) / (joint.sum(0) + joint.sum(1))))
    gate = Gate(metric="f1", at_least=true)
    for _ in range(runs):
        cells = rng.choice(16, 30, p=joint.ravel())
        made = report(labelled(CLASSES[cells // 4].tolist(), CLASSES[cells % 4].tolist())).model_copy(update={"classes": tuple(CLASSES)})
        passed += evaluate_gates([gate], made)[0].verdict is Verdict.PASS
    assert passed / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_class_of_the_policy_without_a_row_counts() -> None:
    rows = labelled(["a", "b"] * 200, ["a", "b"] * 200)
    made = report(rows, rows)
    gates = [Gate(metric="f1", at_least=0.5), Gate(metric="f1", no_worse_than="production", margin=0.3)]
    assert [each.verdict for each in evaluate_gates(gates, made)] == [Verdict.PASS] * 2
    lacking = evaluate_gates(gates, made.model_copy(update={"classes": ("a", "b", "c")}))
    assert [each.verdict for each in lacking] == [Verdict.NOT_ENOUGH_DATA] * 2
    assert "no row is of c: add rows of each class" in lacking[0].sentence


def test_a_slice_has_the_classes_of_the_policy_or_those_that_the_gate_names() -> None:
    rows = labelled(["a", "b"] * 200, ["a", "b"] * 200)
    made = report(rows, rows).model_copy(update={"classes": ("a", "b", "c")})
    for more in ({"metric": "f1", "at_least": 0.5}, {"metric": "f1", "no_worse_than": "production", "margin": 0.3}):
        sliced = Gate.model_validate({**more, "slice": "golden"})
        result = evaluate_gates([sliced], made)[0]
        assert (result.verdict, "name in the gate's `labels`" in result.sentence) == (Verdict.NOT_ENOUGH_DATA, True)
        named = Gate.model_validate({**more, "slice": "golden", "labels": ["a", "b"]})
        assert evaluate_gates([named], made)[0].verdict is Verdict.PASS
    assert Gate(preset="f1", labels=["a", "b"]).name != Gate(preset="f1").name
    preset = evaluate_gates([Gate(preset="f1", slice="golden", labels=["a"])], made)[0]
    assert "400 rows, over 1 class;" in preset.sentence


def test_rows_of_other_classes_count_as_mistakes_only() -> None:
    from sklearn.metrics import f1_score

    expected, said = ["a"] * 30 + ["b"] * 20 + ["c"] * 50, ["a"] * 20 + ["c"] * 10 + ["b"] * 20 + ["a"] * 15 + ["c"] * 35
    assert macro_f1(expected, said, ["a", "b"]) == pytest.approx(f1_score(expected, said, labels=["a", "b"], average="macro"))
    bound = gain_bound(expected, said, None, 0.0, 0.95, ["a", "b"]).bound
    assert bound < macro_f1(expected, said, ["a", "b"]) < loss_bound(expected, said, None, 1.0, 0.95, ["a", "b"]).bound
    with pytest.raises(ValueError, match="no row is of"):
        macro_f1(expected, said, ["a", "d"])


@pytest.mark.parametrize("n", [40, 80])
def test_a_rare_class_that_a_slice_lacks_by_chance_does_not_pass(n: int) -> None:
    rng, runs, passed = np.random.default_rng(8), 100, 0
    shares = [0.475, 0.475, 0.02, 0.03]  # the last one is always wrong
    gate = Gate(metric="f1", slice="golden", at_least=0.75)
    for _ in range(runs):
        expected = rng.choice(CLASSES, n, p=shares)
        made = report(labelled(expected.tolist(), np.where(expected == "d", "other", expected).tolist()))
        passed += evaluate_gates([gate], made.model_copy(update={"classes": tuple(CLASSES)}))[0].verdict is Verdict.PASS
    assert passed / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_an_equal_model_seldom_passes_and_a_better_one_does() -> None:
    rng, runs, false, found = np.random.default_rng(2), 60, 0, 0
    for run in range(runs):
        expected = rng.choice(CLASSES, 120, p=[0.5, 0.3, 0.15, 0.05])
        theirs = answers(rng, expected, 0.7)
        made = report(labelled(expected.tolist(), answers(rng, expected, 0.7)), labelled(expected.tolist(), theirs))
        false += evaluate_gates([BETTER], made)[0].verdict is Verdict.PASS
        if run < 20:
            better = report(labelled(expected.tolist(), answers(rng, expected, 0.95)), made.scores["production"])
            found += evaluate_gates([BETTER], better)[0].verdict is Verdict.PASS
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert found >= 16


def test_a_rare_class_that_was_lost_is_seen_where_accuracy_hides_it() -> None:
    expected = ["a"] * 180 + ["b"] * 20
    whole = labelled(expected, expected)
    lost = labelled(expected, ["a"] * 200)
    gate = Gate(metric="f1", no_worse_than="production", margin=0.2)
    assert evaluate_gates([gate], report(lost, whole))[0].verdict is Verdict.FAIL
    accuracy = Gate(metric="exact_match", no_worse_than="production", margin=0.2)
    assert evaluate_gates([accuracy], report(lost, whole))[0].verdict is Verdict.PASS


def test_answers_without_a_label_field_are_not_measured() -> None:
    rows = labelled(["(none)"] * 50, ["(none)"] * 50)
    assert "was not measured" in evaluate_gates([BETTER], report(rows, rows))[0].sentence


def test_a_level_that_the_bootstrap_cannot_reach_is_never_a_pass() -> None:
    expected = [f"c{n % 3}" for n in range(300)]
    said = ["other" if n % 6 == 0 else label for n, label in enumerate(expected)]
    gate = Gate(metric="f1", at_least=0.72)
    verdicts = []
    for level in (0.05, 1e-9):
        asked = gate.model_copy(update={"confidence": 1 - level})
        verdicts.append(evaluate_gates([asked], report(labelled(expected, said), labelled(expected, expected)))[0])
    assert [each.verdict for each in verdicts] == [Verdict.PASS, Verdict.NOT_ENOUGH_DATA]
    assert "does not reach the level 1e-09" in verdicts[1].sentence


@pytest.mark.parametrize(
    ("gate", "right", "theirs", "n"),
    [(BETTER, 0.9, 0.75, 60), (Gate(metric="f1", at_least=0.8), 0.88, 0.9, 60), (Gate(metric="f1", at_least=0.95), 0.88, 0.9, 50)],
)
def test_rows_that_would_tell_tell_in_about_four_of_five_cases(gate: Gate, right: float, theirs: float, n: int) -> None:
    rng, told, needed = np.random.default_rng(7), [], []
    shares = [0.4, 0.3, 0.2, 0.1]
    while len(needed) < 5:
        expected = rng.choice(CLASSES, n, p=shares)
        said = [np.array(answers(rng, expected, share)) for share in (right, theirs)]
        found = evaluate_gates([gate], report(*(labelled(expected.tolist(), each.tolist()) for each in said)))[0]
        if found.rows_needed is None or found.rows_needed > 1000:
            continue
        needed.append(found.rows_needed)
        for _ in range(20):
            rows = rng.integers(0, n, found.rows_needed)
            again = report(*(labelled(expected[rows].tolist(), each[rows].tolist()) for each in said))
            told.append(evaluate_gates([gate], again)[0].verdict is not Verdict.NOT_ENOUGH_DATA)
    assert 0.68 <= np.mean(told) <= 0.92, needed


def test_rare_classes_that_are_right_half_of_the_time_do_not_flatter_a_fail() -> None:
    """Macro F1 of a sample is below that of the population where errors are spread over rare classes, and that of a bootstrap is again."""
    names, shares = [*"abcde", "rest"], [0.04] * 5 + [0.8]
    rng, runs, fails, half = np.random.default_rng(3), 300, 0, 2 * 0.5 / 1.5  # F1 of a class that is right half of the time, else no class
    true = (5 * half + 1) / 6
    for _ in range(runs):
        expected = rng.choice(names, 150, p=shares)
        if len(set(expected)) < len(names):
            continue
        said = np.where((expected == "rest") | (rng.random(150) < 0.5), expected, "none")
        fails += loss_bound(expected.tolist(), said.tolist(), None, true, 0.95, names).p_value < 0.05
    assert fails / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs) - 0.02  # without the correction 0.09


def test_many_small_classes_do_not_flatter_a_fail() -> None:
    # 12 classes of 5 rows, each right half of the time: a bootstrap has two thirds of their variance, and less of the bias
    names, true, runs, fails, rng = [f"c{n}" for n in range(12)], (12 * 2 / 3 + 1) / 13, 100, 0, np.random.default_rng(6)
    expected = np.array([*np.repeat(names, 5), *["rest"] * 65])
    for _ in range(runs):
        said = np.where((expected == "rest") | (rng.random(125) < 0.5), expected, "none")
        fails += loss_bound(expected.tolist(), said.tolist(), None, true, 0.95).p_value < 0.05
    assert fails / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)  # without the correction 0.23


def test_a_class_that_is_right_as_a_whole_has_no_bias_to_correct() -> None:
    rng = np.random.default_rng(5)
    expected = rng.choice(CLASSES, 200).tolist()
    value, found = 1.0, gain_bound(expected, expected, None, 0.0, 0.95)
    assert found.middle == pytest.approx(value, abs=0.03)


@pytest.mark.parametrize(("rows", "share"), [(3, 0.3), (2, 0.6), (4, 0.2)])
def test_bounds_hold_for_classes_of_few_rows_some_of_which_are_always_right(rows: int, share: float) -> None:
    """An exact sum: two of eight classes are right by chance. Above the bound was the truth in 15 % at a stated 5 %."""
    true, below, above = (6 + 2 * 2 * share / (1 + share)) / 8, 0.0, 0.0
    for right in product(range(rows + 1), repeat=2):
        chance = float(np.prod(binom.pmf(right, rows, share)))
        expected, said = few_rows(rows, [*right, *[rows] * 6])
        below += chance * (gain_bound(expected, said, None, 0.5, 0.95).bound > true)
        above += chance * (loss_bound(expected, said, None, 0.5, 0.95).bound < true)
    assert (below <= 0.05, above <= 0.05) == (True, True)


def test_one_more_row_moves_f1_by_what_is_computed() -> None:
    expected, said = few_rows(4, [4, 2, 0])
    cells = Counter(zip(expected, said, expected, strict=True))
    for wrong, answer in ((False, "1"), (True, "none")):
        with_row = macro_f1([*expected, "1"], [*said, answer])
        moved = _moved_by_a_row(cells, ["0", "1", "2"], paired=False, wrong=wrong)
        assert moved[1] / 3 == pytest.approx(abs(with_row - macro_f1(expected, said)))
    assert moved.argmax() == 0, "a wrong row costs most where all are right"
