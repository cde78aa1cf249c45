"""any_of and presets."""

import numpy as np
import pytest

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import RULES
from ftassets.domain.gates.result import Verdict
from ftassets_tests.domain.gates.reports import labelled, report, rows

EXACT = Gate(metric="exact_match", better_than="production")
ROUGE = Gate(metric="rouge.rougeL", better_than="production")
EITHER = Gate(any_of=[EXACT, ROUGE])


def both(right: list[bool], rouge: list[float]) -> list[Score]:
    made = rows(rouge)
    return [each.model_copy(update={"exact": ok}) for each, ok in zip(made, right, strict=True)]


def test_one_sure_gate_is_enough_and_each_is_told() -> None:
    candidate, production = both([True] * 60, [0.5] * 60), both([False] * 12 + [True] * 48, [0.5] * 60)
    found = evaluate_gates([EITHER], report(candidate, production))[0]
    assert (found.name, found.verdict) == ("any_of_exact_match_or_rouge_rougeL", Verdict.PASS)
    assert "exact_match_better: " in found.sentence
    assert "rouge_rougeL_better: " in found.sentence
    assert found.p_value == pytest.approx(2 * 2**-12)


def test_luck_in_one_of_two_tries_is_not_enough() -> None:
    # five wins alone: p = 1/32 < .05, but not below half of it
    candidate, production = both([True] * 60, [0.5] * 60), both([False] * 5 + [True] * 55, [0.5] * 60)
    assert evaluate_gates([EXACT], report(candidate, production))[0].verdict is Verdict.PASS
    found = evaluate_gates([EITHER], report(candidate, production))[0]
    assert found.verdict is Verdict.NOT_ENOUGH_DATA
    assert found.p_value == pytest.approx(1 / 16)
    assert found.rows_needed is None, "one gate's rows are not those of any_of"
    assert not found.sentence.endswith("of cases")


def test_all_worse_is_a_fail_none_better_is_not_enough_and_a_gate_without_p_value_cannot_pass() -> None:
    same = both([True] * 60, [0.5] * 60)
    assert evaluate_gates([EITHER], report(same, same))[0].verdict is Verdict.NOT_ENOUGH_DATA
    assert evaluate_gates([EITHER], report(both([False] * 60, [0.1] * 60), same))[0].verdict is Verdict.FAIL
    unasked = Gate(any_of=[EXACT, Gate(metric="llm_judge", better_than="production")])
    assert evaluate_gates([unasked], report(same, same))[0].verdict is not Verdict.PASS


def test_an_equal_model_passes_any_of_no_more_often_than_one_gate() -> None:
    rng, runs = np.random.default_rng(9), 50
    passes = 0
    for _ in range(runs):
        right, rouge = rng.random((2, 100)) < 0.6, rng.random((2, 100)).round(1)
        candidate, production = (both(right[i].tolist(), rouge[i].tolist()) for i in range(2))
        passes += evaluate_gates([EITHER], report(candidate, production))[0].verdict is Verdict.PASS
    assert passes / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("name", RULES)
def test_every_preset_says_what_the_usual_reading_would_have_said(name: str) -> None:
    rng = np.random.default_rng(1)
    expected = rng.choice(["a", "b"], 400).tolist()
    gate, sides = Gate.model_validate({"preset": name}), []
    for good, bert in ((1.0, 0.95), (0.6, 0.80)):
        said = [e if rng.random() < good else "c" for e in expected]
        values = {"rouge.rougeL": good, "bertscore.f1": bert}
        sides.append([s.model_copy(update={"values": values}) for s in labelled(expected, said)])
    times = {"candidate": [100.0] * 200, "production": [3000.0] * 200}
    better = evaluate_gates([gate], report(sides[0], sides[1], times))[0]
    assert (better.name, better.verdict) == (f"preset_{name}", Verdict.PASS)
    assert better.sentence.endswith(f"the usual reading, {RULES[name].statement}, would have given pass")
    swapped = {"candidate": times["production"], "production": times["candidate"]}
    worse = evaluate_gates([gate], report(sides[1], sides[0], swapped))[0]
    assert worse.verdict is Verdict.FAIL
    assert worse.sentence.endswith("would have given fail")
    nothing = evaluate_gates([gate], report([]))[0]
    assert nothing.verdict is Verdict.NOT_ENOUGH_DATA
    assert nothing.sentence.endswith("would have given nothing, for it was not measured")


def test_a_lucky_few_rows_pass_the_usual_reading_only() -> None:
    found = evaluate_gates([Gate(preset="rouge_l")], report(rows([0.9, 0.3, 0.6]), rows([0.3, 0.6, 0.5])))[0]
    assert found.verdict is Verdict.NOT_ENOUGH_DATA
    assert found.sentence.endswith("the usual reading, ROUGE-L > production + 0.02, would have given pass")
