"""What a judge gate says, and that it says nothing without a judge that can be trusted."""

from collections.abc import Sequence
from typing import Any

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


def report(values: Sequence[float | None], known: Calibration | None = TRUSTED, rows: int | None = None) -> EvalReport:
    """One pairwise_score a row; None is a row without a judgement."""
    fixed: dict[str, Any] = dict.fromkeys(
        ("loop", "run_id", "candidate", "production", "base", "dataset_commit", "golden_commit", "policy_digest"), "x"
    )
    count = len(values) if rows is None else rows
    scores = [Score(id=f"r{n}", slice="golden", exact=True, fields=1, valid=True) for n in range(count)]
    found = [
        PairwiseScore(id=f"r{n}", slice="golden", value=value, reason="the judge answered 500" if value is None else None)
        for n, value in enumerate(values)
    ]
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


def test_superiority_with_a_judge_that_is_known_well_is_the_sign_test_on_rows_that_are_no_tie() -> None:
    result = said(BETTER, report([1.0] * 7 + [-0.5] + [0.0] * 12))
    assert result.p_value == pytest.approx(9 / 2**8, abs=0.005)  # P(7 or 8 wins of 8)
    assert (result.n, result.value) == (20, pytest.approx(0.9 * 6 / 20))
    assert "kappa with people is 0.90" in result.sentence
    assert "judged rows would halve the interval, more labels alone would not" in result.sentence


def test_a_judge_that_is_often_wrong_makes_the_difference_smaller_and_the_interval_wider() -> None:
    values = [1.0] * 60 + [-1.0] * 20 + [0.0] * 20
    good, poor = (said(BETTER, report(values, calibration(right, 200 - right))) for right in (195, 160))
    assert good.verdict is poor.verdict is Verdict.PASS
    assert (good.value, poor.value) == (pytest.approx(0.4 * 0.95), pytest.approx(0.4 * 0.6))
    few = said(BETTER, report(values, calibration(32, 8).model_copy(update={"min_kappa": 0.1})))
    assert few.value == poor.value
    assert few.bound is not None
    assert poor.bound is not None
    assert few.bound < poor.bound


def test_people_who_labelled_these_answers_decide_with_the_judge_and_correct_it() -> None:
    values, n = [1.0] * 100, 60
    sample = llm_judge_sample(BETTER, [f"r{number}" for number in range(100)])

    def labelled(people: int, names: Sequence[str]) -> GateResult:
        made = report(values)
        scores = [each.model_copy(update={"people": people}) if each.id in names else each for each in made.pairwise_scores]
        return said(BETTER, made.model_copy(update={"pairwise_scores": scores}))

    agreeing = labelled(1, sample[:n])
    assert agreeing.verdict is Verdict.PASS
    assert "by 60 labels of these answers people would prefer the candidate" in agreeing.sentence
    against = labelled(-1, sample[:n])
    assert against.verdict is Verdict.FAIL, "the judge is always wrong here, whatever it did on other pairs"
    chosen = labelled(-1, sample[1 : n + 1])
    assert "of other pairs" in chosen.sentence, "labels count from the first row on, so that rows cannot be chosen"
    few = labelled(-1, sample[:29])
    assert "of other pairs" in few.sentence


def test_rows_of_slices_without_a_label_are_named() -> None:
    assert "without a label" not in said(BETTER, report([1.0] * 40)).sentence
    other = said(BETTER, report([1.0] * 40, TRUSTED.model_copy(update={"slices": {"billing": 200}})))
    assert "40 of 40 rows are of slices without a label: golden" in other.sentence
    assert "labels name no slices" in said(BETTER, report([1.0] * 40, TRUSTED.model_copy(update={"slices": {}}))).sentence


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
    assert (result.verdict, result.n) == (Verdict.PASS, 90)
    assert "no judgement on 10 more" in result.sentence
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
