"""Which classes a gate counts."""

import pytest

from ftassets.domain.gates.classes import classes_of, more_rows
from ftassets.domain.gates.gate import Gate
from ftassets_tests.domain.gates.reports import labelled, report

MADE = report([*labelled(["a", "b"], ["a", "a"])]).model_copy(update={"classes": ("a", "b", "c")})


@pytest.mark.parametrize(
    ("gate", "wanted"),
    [
        ({}, ["a", "b", "c"]),
        ({"slice": "golden"}, ["a", "b", "c"]),
        ({"slice": "empty"}, ["a", "b", "c"]),
        ({"label": "b"}, ["b"]),
        ({"labels": ["c", "a", "a"]}, ["a", "c"]),
        ({"labels": ["u\u0308"]}, ["\u00fc"]),  # as answers are compared
    ],
)
def test_the_classes_of_a_gate_do_not_depend_on_the_rows_of_a_slice(gate: dict[str, object], wanted: list[str]) -> None:
    assert classes_of(Gate.model_validate({"metric": "recall", "at_least": 0.5, **gate}), MADE) == wanted


def test_an_old_report_has_the_classes_of_its_golden_rows() -> None:
    held_out = [score.model_copy(update={"slice": "held_out", "expected": "z", "id": f"h{score.id}"}) for score in MADE.scores["candidate"]]
    old = MADE.model_copy(update={"classes": (), "scores": {"candidate": [*MADE.scores["candidate"], *held_out]}})
    assert classes_of(Gate(metric="f1", slice="held_out", at_least=0.5), old) == ["a", "b"]


def test_what_to_do_about_a_class_without_rows() -> None:
    assert more_rows(Gate(metric="f1", at_least=0.5)) == "add rows of each class"
    assert "`labels`" in more_rows(Gate(metric="f1", slice="hard", at_least=0.5))
    assert more_rows(Gate(metric="f1", slice="hard", labels=["a"], at_least=0.5)) == "add rows of each class to slice hard"
