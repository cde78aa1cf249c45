"""Macro F1: the value, how far chance moves it, and the gate on it."""

import numpy as np
import pytest

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.macro_f1 import macro_f1, macro_f1_draws
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


def test_draws_repeat_lie_around_the_value_and_know_that_few_rows_say_little() -> None:
    rng = np.random.default_rng(1)
    expected = rng.choice(CLASSES, 400)
    ours, theirs = answers(rng, expected, 0.8), answers(rng, expected, 0.6)
    draws = macro_f1_draws(expected.tolist(), ours, theirs)
    assert np.array_equal(draws, macro_f1_draws(expected.tolist(), ours, theirs))
    assert draws.mean(axis=0) == pytest.approx([macro_f1(expected.tolist(), each) for each in (ours, theirs)], abs=0.01)
    same = macro_f1_draws(["a"] * 10, ["a"] * 10, ["a"] * 10)
    assert np.quantile(same[:, 0] - same[:, 1], 0.05) < -0.03


def test_an_equal_model_seldom_passes_and_a_better_one_does() -> None:
    rng, runs, false, found = np.random.default_rng(2), 200, 0, 0
    for run in range(runs):
        expected = rng.choice(CLASSES, 120, p=[0.5, 0.3, 0.15, 0.05])
        theirs = answers(rng, expected, 0.7)
        made = report(labelled(expected.tolist(), answers(rng, expected, 0.7)), labelled(expected.tolist(), theirs))
        false += evaluate_gates([BETTER], made)[0].verdict is Verdict.PASS
        if run < 20:
            better = report(labelled(expected.tolist(), answers(rng, expected, 0.95)), made.scores["production"])
            found += evaluate_gates([BETTER], better)[0].verdict is Verdict.PASS
    assert false / runs <= 0.075
    assert found >= 18


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
