"""Gates on the mean cost of mistakes."""

import numpy as np
import pytest
from pydantic import ValidationError

from ftassets.config.loop import LoopConfig
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets.domain.mean_bounds import mean_upper_bound
from ftassets_tests.domain.gates.reports import labelled, report

COSTS = {"a": {"b": 1.0}, "b": {"a": 50.0}}
MOST = Gate(metric="cost", at_most=2.5)


def made(ours: str, theirs: str = "", costs: dict[str, dict[str, float]] = COSTS, expected: str = "") -> EvalReport:
    """One letter a row; rows are a and b in turns."""
    wanted = list(expected) or list("ab" * (len(ours) // 2))
    found = report(labelled(wanted, list(ours)), labelled(wanted, list(theirs or ours)))
    return found.model_copy(update={"costs": costs})


def verdict(gate: Gate, found: EvalReport) -> GateResult:
    return evaluate_gates([gate], found)[0]


def test_the_mean_has_bounds_on_the_scale_of_the_largest_cost() -> None:
    ours = "ab" * 95 + "bb" * 3 + "aa" * 2  # three mistakes of 1, two of 50
    result = verdict(MOST, made(ours))
    values = [0.0] * 195 + [1.0] * 3 + [50.0] * 2
    assert result.value == pytest.approx(np.mean(values))
    assert result.bound == pytest.approx(mean_upper_bound(values, 0.95, 50.0), abs=1e-6)
    assert verdict(MOST, made("ab" * 100)).verdict is Verdict.PASS  # none of 200: at most 50 * (1 - 0.05 ** (1 / 200)) = 0.74
    assert verdict(MOST, made("ab" * 20)).verdict is Verdict.NOT_ENOUGH_DATA
    assert verdict(MOST, made("aa" * 20)).verdict is Verdict.FAIL


def test_two_versions_by_what_their_mistakes_cost_not_by_how_many() -> None:
    right = "ab" * 100
    cheap, dear = "bb" * 20 + right[40:], "aa" * 10 + right[20:]  # 20 mistakes of 1, 10 of 50
    better = Gate(metric="cost", better_than="production")
    assert verdict(better, made(cheap, dear)).verdict is Verdict.PASS
    assert verdict(better, made(dear, cheap)).verdict is Verdict.FAIL
    assert verdict(Gate(metric="exact_match", better_than="production"), made(cheap, dear)).verdict is not Verdict.PASS
    no_worse = verdict(Gate(metric="cost", no_worse_than="production", margin=1.5), made(right, right))
    assert (no_worse.verdict, no_worse.threshold, no_worse.equivalent) == (Verdict.PASS, 1.5, True)


def test_what_costs_nothing_to_know_is_not_enough_data() -> None:
    result = verdict(MOST, made("ab" * 100, costs={}))
    assert (result.verdict, "was not measured" in result.sentence) == (Verdict.NOT_ENOUGH_DATA, True)
    assert sensitivity(MOST, made("ab" * 100)) is not None
    assert sensitivity(MOST, made("ab" * 100, costs={})) is None


def loop(gate: dict[str, object], costs: object = COSTS, **task: object) -> LoopConfig:
    asked = {"system_prompt": "x", "type": "classification", "labels": ["a", "b"], **({"costs": costs} if costs else {}), **task}
    return LoopConfig.model_validate(
        {"name": "l", "base_model": "m", "task": asked, "golden_set": "g", "dataset": {"seed": "s"}, "gates": [gate]}
    )


@pytest.mark.parametrize(
    ("gate", "task", "words"),
    [
        ({"at_most": 2.5}, {"costs": None}, "a gate on cost needs `task.costs`"),
        ({"at_most": 50}, {}, "with costs from 0 to 50"),
        ({"no_worse_than": "production", "margin": 50}, {}, "would let any cost pass"),
        ({"at_most": 2.5, "clip": 10}, {}, "cost ends at the largest of task.costs"),
        ({"at_least": 2.5}, {}, "cost is compared with better_than or no_worse_than or at_most"),
        ({"at_most": 2.5}, {"costs": {"a": {"a": 1.0}}}, "the right answer 'a' costs nothing"),
        ({"at_most": 2.5}, {"costs": {"a": {"c": 1.0}}}, "costs name 'c', which is not one of the labels"),
        ({"at_most": 2.5}, {"costs": {"a": {"b": 0.0}}}, "no mistake has a cost"),
        ({"at_most": 2.5}, {"costs": {"a": {"b": -1.0}}}, "greater than or equal to 0"),
        ({"at_most": 2.5}, {"type": "text", "labels": None}, "costs do not apply: a text task has no classes"),
    ],
)
def test_a_gate_or_costs_that_cannot_be(gate: dict[str, object], task: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")):
        loop({"metric": "cost", **gate}, **task)


def test_costs_and_classes_that_fit() -> None:
    assert loop({"metric": "cost", "no_worse_than": "production", "margin": 2}).task.costs == COSTS
    with pytest.raises(ValidationError, match="a gate is on class 'c', which is not one of the task's labels: a, b"):
        loop({"metric": "recall", "label": "c", "at_least": 0.5})
    with pytest.raises(ValidationError, match="recall does not apply: a text task has no classes"):
        loop({"metric": "recall", "at_least": 0.5}, costs=None, type="text", labels=None)
