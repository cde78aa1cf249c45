"""What a judge gate says, and that it says nothing without a judge that can be trusted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.llm_judge import Calibration, LabelledChoice, PairwiseScore, not_calibrated
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.llm_judge import llm_judge_sample
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict

BETTER = Gate(metric="llm_judge", better_than="production", sample=500)
NO_WORSE = Gate(metric="llm_judge", no_worse_than="production", margin=0.1, sample=500)


def calibration(right: int, wrong: int, **changes: Any) -> Calibration:
    """Of a judge without ties that agrees with people on so many pairs."""
    choices = (LabelledChoice(judge=1, people=1),) * right + (LabelledChoice(judge=1, people=-1),) * wrong
    n = right + wrong
    return Calibration(n=n, min_kappa=0.4, agreement=right / n, kappa=2 * right / n - 1, choices=choices, **changes)


TRUSTED = calibration(190, 10, slices={"golden": 200})


def report(
    values: Sequence[float | None],
    known: Calibration | None = TRUSTED,
    rows: int | None = None,
    people: Sequence[int | None] | None = None,
) -> EvalReport:
    """One pairwise_score a row; None is a row without a judgement. `people` are their labels; left out, the judge is always right."""
    fixed: dict[str, Any] = dict.fromkeys(
        ("loop", "run_id", "candidate", "production", "base", "dataset_commit", "golden_commit", "policy_digest"), "x"
    )
    count = len(values) if rows is None else rows
    scores = [Score(id=f"r{n}", slice="golden", exact=True, fields=1, valid=True) for n in range(count)]
    labels: list[Any] = [(value or 0) and (1 if (value or 0) > 0 else -1) for value in values] if people is None else list(people)
    found = [
        PairwiseScore(
            id=f"r{n}", slice="golden", value=value, reason="the judge answered 500" if value is None else None, people=labels[n]
        )
        for n, value in enumerate(values)
    ]  # fmt: skip
    return EvalReport(
        **fixed, production_is_base=False, generation={}, latency_ms={}, answers={}, pairwise_scores=found,
        llm_judge_calibration=known,
        scores=dict.fromkeys(("candidate", "production", "base"), scores),
    )  # fmt: skip


def said(gate: Gate, made: EvalReport) -> GateResult:
    return evaluate_gates([gate], made)[0]


@pytest.mark.parametrize(
    ("gate", "values", "verdict"),
    [
        (BETTER, [1.0] * 30 + [-1.0] * 10 + [0.0] * 60, Verdict.PASS),
        (BETTER, [1.0] * 12 + [-1.0] * 10 + [0.0] * 60, Verdict.NOT_ENOUGH_DATA),
        (BETTER, [1.0] * 10 + [-1.0] * 10, Verdict.NOT_ENOUGH_DATA),
        (BETTER, [1.0] * 10 + [-1.0] * 30, Verdict.FAIL),
        (BETTER, [0.0] * 80, Verdict.NOT_ENOUGH_DATA),
        (NO_WORSE, [0.0] * 200, Verdict.PASS),
        (NO_WORSE, [0.0] * 10, Verdict.NOT_ENOUGH_DATA),
        (NO_WORSE, [-1.0] * 20 + [0.0] * 180, Verdict.NOT_ENOUGH_DATA),
        (NO_WORSE, [-1.0] * 40 + [0.0] * 160, Verdict.FAIL),
    ],
)
def test_verdicts(gate: Gate, values: list[float | None], verdict: Verdict) -> None:
    assert said(gate, report(values)).verdict is verdict


def test_superiority_with_labels_on_all_answers_is_the_sign_test_on_rows_that_are_no_tie() -> None:
    result = said(BETTER, report([1.0] * 7 + [-0.5] + [0.0] * 12))
    assert result.p_value is not None
    assert 9 / 2**8 <= result.p_value <= 0.06  # P(7 or 8 wins of 8); ties could have been anything
    assert (result.n, result.value) == (20, pytest.approx(6 / 20))
    assert "kappa with people is 0.90" in result.sentence
    assert "rows with labels on the same share of them would halve the interval, more labels alone would not" in result.sentence


IDS = llm_judge_sample(BETTER, [f"r{number}" for number in range(100)])


def first_labelled(values: Sequence[float | None], people: dict[str, int]) -> EvalReport:
    return report(values, people=[people.get(f"r{n}") for n in range(len(values))])


def test_people_who_labelled_these_answers_decide_with_the_judge_and_correct_it() -> None:
    values, n = [1.0] * 100, 60
    agreeing = said(BETTER, first_labelled(values, dict.fromkeys(IDS[:n], 1)))
    assert agreeing.verdict is Verdict.PASS
    assert "by people's labels on 60 of these answers they would prefer the candidate" in agreeing.sentence
    against = said(BETTER, first_labelled(values, dict.fromkeys(IDS[:n], -1)))
    assert against.verdict is Verdict.FAIL, "the judge is always wrong here, whatever it did on other pairs"


@pytest.mark.parametrize("values", [[1.0] * 100, [-1.0] * 100, [0.0] * 100, [1.0] * 60 + [-1.0] * 20 + [0.0] * 20])
@pytest.mark.parametrize(("labelled", "have"), [([], 0), (IDS[1:90], 0), (IDS[:29], 29)])
def test_without_labels_on_these_answers_there_is_no_verdict(values: list[float], labelled: list[str], have: int) -> None:
    for gate in (BETTER, NO_WORSE):
        result = said(gate, first_labelled(values, dict.fromkeys(labelled, 1)))
        assert (result.verdict, result.value, result.p_value) == (Verdict.NOT_ENOUGH_DATA, None, None)
        assert f"30 of these 100 pairs of answers need people's labels, from the top of the list, and {have} have one" in result.sentence
        assert "ftassets review pairs x --out pairs.jsonl" in result.sentence


def test_labels_on_other_pairs_say_how_many_of_these_would_tell() -> None:
    result = said(BETTER, first_labelled([1.0] * 60 + [-1.0] * 30 + [0.0] * 10, {}))
    assert "would tell in 80% of cases, if people follow the judge as on the other pairs" in result.sentence
    even = said(BETTER, first_labelled([1.0, -1.0] * 50, {}))
    assert "would tell" not in even.sentence


def test_where_few_answers_differ_labels_on_all_of_them_are_enough() -> None:
    made = report([1.0] * 12 + [0.0] * 88)
    same = [each.model_copy(update={"same": n >= 12, "people": 1 if n < 11 else None}) for n, each in enumerate(made.pairwise_scores)]
    lacking = said(BETTER, made.model_copy(update={"pairwise_scores": same}))
    assert lacking.verdict is Verdict.NOT_ENOUGH_DATA
    assert "12 of these 12 pairs" in lacking.sentence
    whole = [each.model_copy(update={"people": 0 if each.same else 1}) for each in same]
    assert said(BETTER, made.model_copy(update={"pairwise_scores": whole})).verdict is Verdict.PASS
    equal = [each.model_copy(update={"same": True, "value": 0.0, "people": 0}) for each in same]
    assert said(NO_WORSE, made.model_copy(update={"pairwise_scores": equal})).verdict is Verdict.PASS
    assert said(BETTER, made.model_copy(update={"pairwise_scores": equal})).verdict is Verdict.NOT_ENOUGH_DATA


# people prefer production where the judge calls a tie; the judge favours the candidate, and is right on other pairs
@pytest.mark.parametrize(("judge", "people"), [((0.0, 0.4, 0.6), (-1, -1, 1)), ((0.0, 0.0, 1.0), (0, 0, 0))])
def test_a_judge_that_is_wrong_about_this_candidate_passes_no_more_often_than_stated(
    judge: tuple[float, float, float], people: tuple[int, int, int]
) -> None:
    rng, passed, runs = np.random.default_rng(0), np.zeros(2), 60
    for _ in range(runs):
        choices = rng.choice([-1, 0, 1], 100, p=judge)
        said_ = [int(rng.choice([-1, 1])) if people[choice + 1] == 0 else people[choice + 1] for choice in choices]
        if people[1]:  # so that people prefer neither model on average
            said_ = [-1 if each == 1 and rng.random() < 1 / 6 else each for each in said_]
        made = [
            first_labelled([float(choice) for choice in choices], {name: said_[int(name[1:])] for name in IDS[:labels]})
            for labels in (0, 40)
        ]
        passed += [said(BETTER, each).verdict is Verdict.PASS for each in made]
    assert passed[0] == 0
    assert passed[1] / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


values = st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1, max_size=80)


@given(values)
def test_the_two_models_are_treated_alike(found: list[float]) -> None:
    here, there = said(BETTER, report(found)), said(BETTER, report([-value for value in found]))
    assert (here.value or 0) == -(there.value or 0)
    assert not (here.verdict is Verdict.PASS and there.verdict is Verdict.PASS)
    better, worse = said(NO_WORSE, report(found)), said(NO_WORSE, report([-value for value in found]))
    assert (better.value or 0) == -(worse.value or 0)


@given(values, st.sampled_from([None, TRUSTED, calibration(60, 40), calibration(75, 25), not_calibrated(0.4, "nobody there")]))
def test_only_a_trusted_judge_decides_and_the_stored_report_says_the_same(found: list[float], known: Calibration | None) -> None:
    made = report(found, known)
    results = evaluate_gates([BETTER, NO_WORSE], made)
    assert evaluate_gates([BETTER, NO_WORSE], EvalReport.model_validate_json(made.model_dump_json())) == results
    if known is not TRUSTED:
        assert all(result.verdict is not Verdict.PASS for result in results)


def test_why_the_judge_decides_nothing() -> None:
    low = said(BETTER, report([1.0] * 50, calibration(110, 90)))
    assert low.verdict is Verdict.FAIL
    assert "decides nothing" in low.sentence
    assert "0.40 is needed" in low.sentence
    open_ = said(BETTER, report([1.0] * 50, calibration(75, 25)))
    assert open_.verdict is Verdict.NOT_ENOUGH_DATA
    assert "it is open if it reaches 0.40: about" in open_.sentence
    assert "labelled pairs would tell in 80% of cases" in open_.sentence
    older = said(BETTER, report([1.0] * 50, TRUSTED.model_copy(update={"choices": ()})))
    assert older.verdict is Verdict.NOT_ENOUGH_DATA
    assert "an earlier release made it" in older.sentence
    for known, words in ((None, "was not asked"), (not_calibrated(0.4, "http://x does not answer"), "does not answer")):
        result = said(BETTER, report([1.0] * 50, known))
        assert result.verdict is Verdict.NOT_ENOUGH_DATA
        assert words in result.sentence


def test_a_tenth_of_the_rows_may_have_no_judgement_and_no_more() -> None:
    result = said(BETTER, report([1.0] * 90 + [None] * 10))
    assert (result.verdict, result.n) == (Verdict.PASS, 100)
    assert "no judgement on 10)" in result.sentence
    lost = said(BETTER, report([1.0] * 50 + [-1.0] * 40 + [None] * 10, people=[1] * 50 + [-1] * 50))
    assert lost.value == 0, "rows without a judgement count as people label them"
    result = said(BETTER, report([1.0] * 89 + [None] * 11))
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert "11 of 100" in result.sentence
    assert "answered 500" in result.sentence
    assert said(BETTER, report([1.0] * 80, rows=100)).verdict is Verdict.NOT_ENOUGH_DATA, "rows that were never asked are missing too"


def test_a_gate_looks_at_its_sample_alone() -> None:
    few = BETTER.model_copy(update={"sample": 20})
    ids = [f"r{n}" for n in range(100)]
    sample = set(llm_judge_sample(few, ids))
    made = report([1.0 if name in sample else -1.0 for name in ids])
    assert (said(few, made).verdict, said(few, made).n) == (Verdict.PASS, 20)
    assert said(BETTER, made).verdict is Verdict.FAIL


def test_an_empty_slice_is_not_enough_data() -> None:
    result = said(BETTER.model_copy(update={"slice": "drifted"}), report([1.0] * 50))
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert "drifted" in result.sentence
