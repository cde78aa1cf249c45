"""Gates on answers of conversations count conversations. Oracle: the same gates on one value for each conversation, computed by hand."""

from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import beta, binom

from ftassets.config.loop import LoopConfig
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.independent_units import WHOLE, pooled, share_with_interval
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.gates.sensitivity import sensitivity
from ftassets.domain.gates.wear import wear
from ftassets.domain.mean_bounds import mean_lower_bound
from ftassets_tests.domain.gates.reports import report, rows

SHARE = Gate(metric="exact_match", at_least=0.8)
SHARE_BETTER = Gate(metric="exact_match", better_than="production")
ALL = Gate(metric=WHOLE, at_least=0.8)


def answers(conversations: Sequence[Sequence[float]]) -> list[Score]:
    """One score an answer; a conversation of one answer is a row by itself."""
    found = []
    for number, values in enumerate(conversations):
        made = rows(values, prefix=f"c{number}#" if len(values) > 1 else f"row{number}-")
        found += [score.model_copy(update={"conversation": f"c{number}"}) if len(values) > 1 else score for score in made]
    return found


def verdict(gate: Gate, ours: Sequence[Sequence[float]], theirs: Sequence[Sequence[float]] = ()) -> GateResult:
    return evaluate_gates([gate], report(answers(ours), answers(theirs or ours)))[0]


def test_the_share_of_a_conversation_is_one_value() -> None:
    ours = [[1, 1, 0, 1]] * 30 + [[1, 1]] * 20 + [[1]] * 10
    result = verdict(SHARE, ours)
    by_hand = [0.75] * 30 + [1.0] * 30
    assert (result.n, result.value) == (60, pytest.approx(np.mean(by_hand)))
    assert result.bound == pytest.approx(mean_lower_bound(by_hand, 0.95), abs=1e-9)
    assert "exact_match 0.875 on 60 conversations of 170 answers" in result.sentence
    assert "(Gaffke)" in result.sentence


def test_a_conversation_is_right_if_all_of_its_answers_are() -> None:
    result = verdict(ALL, [[1, 1, 0, 1]] * 5 + [[1, 1]] * 45)
    assert (result.n, result.value) == (50, 0.9)
    assert result.bound == pytest.approx(beta.ppf(0.05, 45, 6))
    assert "(Clopper-Pearson)" in result.sentence


def test_many_answers_of_few_conversations_prove_little() -> None:
    """Answers that are right together: 200 of 10 conversations count as 10."""
    assert verdict(SHARE, [[1] * 20] * 10).verdict is Verdict.NOT_ENOUGH_DATA
    assert verdict(SHARE, [[1]] * 200).verdict is Verdict.PASS
    better = Gate(metric="exact_match", better_than="production")
    assert verdict(better, [[1] * 20] * 4, [[0] * 20] * 4).verdict is Verdict.NOT_ENOUGH_DATA  # 80 answers won, 4 conversations
    assert verdict(better, [[1] * 20] * 5, [[0] * 20] * 5).verdict is Verdict.PASS
    short = verdict(Gate(metric="exact_match", no_worse_than="production", margin=0.2), [[1, 0]] * 5, [[1, 0]] * 5)
    assert (short.verdict, short.n) == (Verdict.NOT_ENOUGH_DATA, 5)
    near = verdict(SHARE, [[1, 1, 1, 1]] * 12)
    assert near.rows_needed is not None
    assert f"about {near.rows_needed} conversations would tell" in near.sentence


def test_error_at_the_boundary_where_answers_are_right_together() -> None:
    """Conversations of 10 answers, all right or all wrong, at the limit: answers taken as independent rows pass far too often."""
    rng, passes, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        right = rng.random(30) < 0.8
        found = [[float(each)] * 10 for each in right]
        passes += verdict(SHARE, found).verdict is Verdict.PASS
        naive += beta.ppf(0.05, 10 * right.sum(), 10 * (30 - right.sum()) + 1) >= 0.8
    assert passes / 400 <= 0.055 + 0.02  # two standard errors
    assert naive / 400 > 0.2


def test_recall_and_sensitivity_count_conversations_too() -> None:
    ours = [
        score.model_copy(update={"expected": "a" if place % 2 else "b", "predicted": "a"})
        for place, score in enumerate(answers([[1, 1, 1, 1]] * 20))
    ]
    made = report(ours, ours).model_copy(update={"classes": ("a", "b")})
    [result] = evaluate_gates([Gate(metric="recall", label="a", at_least=0.8)], made)
    assert (result.n, result.value, result.verdict) == (20, 1.0, Verdict.PASS)
    [every] = evaluate_gates([Gate(metric="recall", at_least=0.8)], made)
    assert (every.n, every.verdict) == (20, Verdict.FAIL)
    alone, many = (sensitivity(SHARE, report(answers(each))) for each in ([[1, 1, 1, 0]] * 25, [[1]] * 75 + [[0]] * 25))
    assert alone is not None
    assert many is not None
    assert alone.power != many.power


def test_macro_f1_counts_one_row_of_each_conversation() -> None:
    def labelled(scores: list[Score]) -> list[Score]:
        return [each.model_copy(update={"expected": "x", "predicted": "x" if each.exact else "y"}) for each in scores]

    gate = Gate(metric="f1", at_least=0.8)
    [many] = evaluate_gates([gate], report(labelled(answers([[0, 1]] * 30 + [[1, 0]] * 2 + [[1]] * 30))))
    [alone] = evaluate_gates([gate], report(labelled(answers([[1]] * 30 + [[0]] * 2 + [[1]] * 30))))
    assert (many.n, many.value, many.bound) == (alone.n, alone.value, alone.bound)


@pytest.mark.parametrize("rows_each", [2, 3, 5])
def test_rows_of_one_conversation_that_are_alike_pass_no_more_often_than_stated(rows_each: int) -> None:
    """Exact: 60 conversations, all rows of one right or all wrong. Counted as rows they passed in 12.7 to 21.3 %."""
    right = np.arange(61)

    def passes(gate: Gate, truth: float, theirs: int = 0) -> float:
        found = [
            verdict(gate, [[1] * rows_each] * n + [[0] * rows_each] * (60 - n), [[theirs] * rows_each] * 60).verdict is Verdict.PASS
            for n in right
        ]
        return float(binom.pmf(right, 60, truth)[found].sum())

    assert passes(SHARE, 0.8) <= 0.05
    assert passes(SHARE, 0.95) > 0.5, "and it can pass"
    assert passes(Gate(metric="exact_match", no_worse_than="production", margin=0.1), 0.9, theirs=1) <= 0.05


def test_pooled_values_of_rows_by_themselves_are_their_own() -> None:
    made = rows([0.25, 0.5])
    assert pooled("exact_match", made, [0.25, 0.5]) == pooled(WHOLE, made, [0.25, 0.5]) == [0.25, 0.5]


def loop(turns: str, *gates: dict[str, object]) -> LoopConfig:
    return LoopConfig.model_validate(
        {"name": "l", "base_model": "m", "task": {"system_prompt": "x"}, "golden_set": "g", "dataset": {"seed": "s"}, "golden_turns": turns,
         "gates": gates, "llm_judge": {"url": "http://judge", "model": "m", "labels": "l"}}
    )  # fmt: skip


@pytest.mark.parametrize(
    "gate",
    [
        {"metric": "f1", "better_than": "production"},
        {"metric": "llm_judge", "better_than": "production"},
        {"metric": "human_review", "at_least": 0.9},
        {"preset": "f1"},
    ],
)
def test_gates_that_take_rows_as_independent_are_refused(gate: dict[str, object]) -> None:
    assert loop("last", gate).gates
    with pytest.raises(ValidationError, match="counts rows as independent, and with `golden_turns: every`"):
        loop("every", gate)


def test_whole_conversations_need_every_answer() -> None:
    gate = {"metric": WHOLE, "at_least": 0.8}
    assert loop("every", gate).gates[0].name == "whole_conversation_at_least"
    with pytest.raises(ValidationError, match="a gate on whole_conversation needs `golden_turns: every`"):
        loop("last", gate)


@pytest.mark.parametrize("answered", [1, 3, 8])
def test_the_interval_of_a_share_counts_conversations(answered: int) -> None:
    """Answers of one conversation are all right or all wrong: 60 conversations say no more than 60 rows."""
    rng, missed = np.random.default_rng(7), 0
    for _ in range(300):
        scores = answers([[float(right)] * answered for right in rng.random(60) < 0.7])
        _, low, high = share_with_interval(scores, [score.exact for score in scores])
        missed += not low <= 0.7 <= high
    assert missed / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5
    assert share_with_interval((), ()) == (0.0, 0.0, 1.0)


def test_choosing_among_candidates_wears_conversations_out() -> None:
    ours, theirs = [[1.0] * 8] * 30 + [[0.0] * 8] * 30, [[1.0] * 8] * 27 + [[0.0] * 8] * 33
    many = wear(report(answers(ours), answers(theirs)).model_copy(update={"golden_uses": 10}), [SHARE_BETTER])
    one = wear(report(rows([x[0] for x in ours]), rows([x[0] for x in theirs])).model_copy(update={"golden_uses": 10}), [SHARE_BETTER])
    assert many is not None
    assert one is not None
    assert many.optimism == pytest.approx(one.optimism)
    assert "on 60 conversations of 480 answers" in many.sentence
