"""Findings on gates: whether they can pass with the rows there are, and whether any holds a floor."""

import re
from typing import Any

import pytest

from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.planning import RowCounts
from ftassets.domain.loop_check.gates import floor, gate_rows, scales

BETTER = {"metric": "exact_match", "better_than": "production"}


def loop(*gates: dict[str, Any], **more: Any) -> LoopConfig:
    settings = {"name": "l", "base_model": "b", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}}
    return LoopConfig.model_validate({**settings, "gates": gates, **more})


def told(gate: dict[str, Any], golden: dict[str, int], **more: Any) -> list[tuple[str, str]]:
    return [(found.severity, found.kind) for found in gate_rows(loop(gate, **more), RowCounts(golden))]


@pytest.mark.parametrize(
    ("gate", "rows", "expected"),
    [
        (BETTER, 4, [("error", "too_few_golden_rows")]),
        (BETTER, 5, [("warning", "weak_gate")]),
        (BETTER, 2000, []),
        (BETTER, 0, [("error", "no_golden_rows")]),
        ({"metric": "exact_match", "at_least": 0.9}, 28, [("error", "too_few_golden_rows")]),  # 0.9 ** 28 > 0.05
        ({"metric": "exact_match", "at_least": 0.9}, 29, [("warning", "weak_gate")]),
        ({"metric": "latency_p95", "no_worse_than": "production", "margin": "50%"}, 1, []),  # 150 pairs of the same request
        ({"metric": "human_review", "at_least": 0.9}, 0, [("error", "no_golden_rows")]),
        ({"any_of": [BETTER, {**BETTER, "slice": "hard"}]}, 4, [("error", "too_few_golden_rows")]),
    ],
)
def test_rows_that_a_gate_needs(gate: dict[str, Any], rows: int, expected: list[tuple[str, str]]) -> None:
    assert told(gate, {"golden": rows}) == expected


def test_a_gate_on_recall_needs_rows_of_its_class_or_of_the_rarest_one() -> None:
    def of(classes: dict[str, int], **gate: Any) -> list[tuple[str, str]]:
        counts = RowCounts({"golden": sum(classes.values())}, classes={"golden": classes}, labels=list(classes))
        return [(found.kind, found.text) for found in gate_rows(loop({"metric": "recall", "at_least": 0.8, **gate}), counts)]

    assert of({"a": 500, "b": 0, "c": 0}) == [("no_golden_rows", "gate recall_at_least, which counts each class: no row is of b, c")]
    assert of({"a": 700, "b": 0}, label="a") == []
    assert of({"a": 500, "b": 0}, label="b") == [("no_golden_rows", "gate recall_b_at_least, which counts each class: no row is of b")]
    assert of({"a": 700, "b": 0}, labels=["a"]) == []
    assert of({"a": 500, "b": 0}, metric="f1") == [("no_golden_rows", "gate f1_at_least, which counts each class: no row is of b")]
    [(kind, text)] = of({"a": 500, "b": 13})
    assert kind == "too_few_golden_rows"
    assert "never pass with 13 rows of a class: it needs 14 rows of each class even if every answer is right" in text
    [(kind, text)] = of({"a": 500, "b": 20})
    assert kind == "weak_gate"
    assert "on 20 rows of the rarest of 2 classes" in text
    assert of({"a": 800, "b": 900}) == []


@pytest.mark.parametrize(
    ("gate", "unit"),
    [
        ({"metric": "recall", "at_least": 0.8}, "rows of each class"),
        ({"metric": "recall", "at_least": 0.8, "label": "b"}, "rows of class b"),
        ({"metric": "recall", "no_worse_than": "production", "margin": 0.1, "label": "b"}, "rows of class b"),
        ({"metric": "exact_match", "at_least": 0.8}, "rows"),
        ({"any_of": [{**BETTER, "slice": "golden"}, {**BETTER, "slice": "hard"}]}, "rows in each slice"),
    ],
)
def test_advice_says_of_what_so_many_are_enough(gate: dict[str, Any], unit: str) -> None:
    few = RowCounts({"golden": 4, "hard": 4}, classes={"golden": {"a": 5, "b": 3}, "hard": {"a": 4}}, labels=["a", "b"])
    [found] = gate_rows(loop(gate), few)
    assert found.kind == "too_few_golden_rows"
    assert re.search(rf"add golden rows: about [\d,]+ {unit} are enough for 80% of good candidates", found.advice)


def test_a_gate_on_classes_in_a_slice_counts_those_of_the_policy() -> None:
    counts = RowCounts({"golden": 900, "hard": 900}, classes={"golden": {"a": 450, "b": 450}, "hard": {"a": 900}}, labels=["a", "b"])
    gate = {"metric": "recall", "slice": "hard", "at_least": 0.8}
    [found] = gate_rows(loop(gate), counts)
    assert (found.kind, "no row is of b" in found.text, "`labels`" in found.advice) == ("no_golden_rows", True, True)
    assert list(gate_rows(loop({**gate, "labels": ["a"]}), counts)) == []
    [absent] = gate_rows(loop({**gate, "slice": "hrad"}), counts)
    assert absent.kind == "unknown_slice"


def test_a_slice_without_rows_is_an_error_that_names_the_slices() -> None:
    [found] = gate_rows(loop(BETTER, {**BETTER, "slice": "hrad"}), RowCounts({"golden": 2000, "hard": 50}, {"general": 0}))
    assert (found.severity, found.kind, found.field) == ("error", "unknown_slice", ("gates", 1))
    assert "no row is in slice hrad; there are golden, hard" in found.text


def test_a_gate_on_the_held_out_rows_counts_them() -> None:
    assert told({**BETTER, "slice": "held_out"}, {"golden": 2000}) == [("error", "unknown_slice")]
    assert told({**BETTER, "slice": "held_out"}, {"held_out": 2000}) == []


@pytest.mark.parametrize(
    ("gates", "has_floor"),
    [
        ([BETTER], False),
        ([BETTER, {"metric": "exact_match", "slice": "hard", "no_worse_than": "production", "margin": 0.1}], False),
        ([BETTER, {"metric": "latency_p95", "at_most": 2000}], False),
        ([BETTER, {"metric": "parity", "at_least": 0.95}], False),
        ([BETTER, {"metric": "exact_match", "at_least": 0.5}], True),
        ([{"preset": "bertscore_f1"}], True),
        ([BETTER, {"metric": "human_review", "at_least": 0.9}], True),
    ],
)
def test_only_a_fixed_bound_on_answers_is_a_floor(gates: list[dict[str, Any]], has_floor: bool) -> None:
    assert (not list(floor(loop(*gates, metrics=["bertscore"])))) == has_floor


@pytest.mark.parametrize(
    ("gate", "advice"),
    [
        ({"metric": "chrf.chrf", "at_least": 0.6}, "write 60 if 0.6 of the scale is meant"),
        ({"metric": "chrf.chrf", "at_least": 60}, None),
        ({"metric": "chrf.chrf", "no_worse_than": "production", "margin": 0.02}, None),  # margins are shares of the scale
        ({"metric": "exact_match", "at_least": 0.6}, None),
        ({"metric": "output_length.mean", "at_most": 0.9}, None),
    ],
)
def test_a_bound_meant_for_another_scale_is_told(gate: dict[str, Any], advice: str | None) -> None:
    found = list(scales(loop(gate, metrics=["chrf", "output_length"])))
    assert [each.advice for each in found] == ([advice] if advice else [])
    assert all((each.severity, each.kind, each.field) == ("warning", "other_scale", ("gates", 0)) for each in found)
