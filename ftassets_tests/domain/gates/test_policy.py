"""Promotion gates: what each verdict means and how often it is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates, passed
from ftassets.domain.gates.report import HELD_OUT, EvalReport, in_slice
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.errors import InvalidInput

BETTER = Gate(metric="exact_match", better_than="production")
NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.02)
FIELDS = Gate(metric="field_accuracy", no_worse_than="production", margin=0.02)
LATENCY = Gate(metric="latency_p95", no_worse_than="production", margin=0.2)


def rows(right: list[bool] | np.ndarray, name: str = "golden", fields: list[float] | None = None) -> list[Score]:
    return [
        Score(id=f"{name}{i}", slice=name, exact=bool(r), fields=float(r) if fields is None else fields[i], valid=True)
        for i, r in enumerate(right)
    ]


def report(candidate: list[Score], production: list[Score], /, **latency: list[float]) -> EvalReport:
    fixed: dict[str, Any] = {name: name for name in ("loop", "run_id", "candidate", "production", "base")}
    fixed |= {name: name for name in ("dataset_commit", "golden_commit", "policy_digest")}
    scores = {"candidate": candidate, "production": production, "base": production}
    return EvalReport(**fixed, production_is_base=False, generation={}, scores=scores, latency_ms=latency, answers={})


def verdict(gate: Gate, candidate: list[bool] | np.ndarray, production: list[bool] | np.ndarray) -> Verdict:
    return evaluate_gates([gate], report(rows(candidate), rows(production)))[0].verdict


# How often a verdict is wrong


def test_superiority_seldom_passes_an_equal_model() -> None:
    rng = np.random.default_rng(11)
    runs = 60
    # both right on 60 %, each alone on 15 %: the least kind to a test is many discordant rows
    cells = rng.choice(4, size=(runs, 200), p=[0.6, 0.15, 0.15, 0.1])
    false = sum(verdict(BETTER, cell <= 1, (cell == 0) | (cell == 2)) is Verdict.PASS for cell in cells)
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_non_inferiority_seldom_passes_a_model_worse_by_the_margin() -> None:
    rng = np.random.default_rng(12)
    gate, runs = Gate(metric="exact_match", no_worse_than="production", margin=0.05), 60
    cells = rng.choice(4, size=(runs, 300), p=[0.6, 0.05, 0.10, 0.25])
    false = sum(verdict(gate, cell <= 1, (cell == 0) | (cell == 2)) is Verdict.PASS for cell in cells)
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_margin_that_all_losses_make_up_is_seldom_passed() -> None:
    # production right on every row, the candidate wrong on one in twenty: no loss in 31 rows has a chance of 20 %
    gate = Gate(metric="exact_match", no_worse_than="production", margin=0.05)
    assert verdict(gate, [True] * 31, [True] * 31) is Verdict.NOT_ENOUGH_DATA
    assert verdict(gate, [True] * 59, [True] * 59) is Verdict.PASS  # 0.95 ** 59 < 0.05


def test_non_inferiority_mostly_passes_an_equal_model_with_enough_rows() -> None:
    rng = np.random.default_rng(13)
    cells = rng.choice(4, size=(50, 2000), p=[0.7, 0.03, 0.03, 0.24])
    assert sum(verdict(NO_WORSE, cell <= 1, (cell == 0) | (cell == 2)) is Verdict.PASS for cell in cells) >= 45


# What each verdict means


def test_superiority_passes_a_better_model() -> None:
    assert verdict(BETTER, [True] * 100, [False] * 10 + [True] * 90) is Verdict.PASS


def test_superiority_fails_a_model_that_is_worse() -> None:
    assert verdict(BETTER, [False] * 5 + [True] * 45, [True] * 50) is Verdict.FAIL  # 1 / 32
    assert verdict(BETTER, [False] * 4 + [True] * 46, [True] * 50) is Verdict.NOT_ENOUGH_DATA
    assert verdict(BETTER, [True] * 50, [True] * 50) is Verdict.NOT_ENOUGH_DATA


def test_superiority_with_few_wins_is_not_enough_data() -> None:
    assert verdict(BETTER, [True] * 50, [False] * 4 + [True] * 46) is Verdict.NOT_ENOUGH_DATA


def test_non_inferiority_fails_beyond_the_margin_and_doubts_short_of_it() -> None:
    assert verdict(NO_WORSE, [False] * 2 + [True] * 98, [True] * 100) is Verdict.NOT_ENOUGH_DATA
    assert verdict(NO_WORSE, [False] * 9 + [True] * 91, [True] * 100) is Verdict.FAIL
    assert verdict(NO_WORSE, [True] * 10, [True] * 10) is Verdict.NOT_ENOUGH_DATA
    assert verdict(NO_WORSE, [True] * 2000, [True] * 2000) is Verdict.PASS


def test_an_equal_model_on_many_rows_is_equivalent() -> None:
    many, few = rows([True] * 2000), rows([True] * 60)
    found = evaluate_gates([NO_WORSE], report(many, many))[0]
    assert (found.equivalent, "equivalent within 0.02" in found.sentence) == (True, True)
    assert not evaluate_gates([NO_WORSE], report(few, few))[0].equivalent
    better = rows([False] * 200 + [True] * 1800)
    found = evaluate_gates([NO_WORSE], report(many, better))[0]
    assert (found.verdict, found.equivalent) == (Verdict.PASS, False)  # no worse, and more than the margin better


def test_the_sentence_counts_rows_fixed_broken_and_wrong_in_both() -> None:
    found = evaluate_gates([BETTER], report(rows([True] * 7 + [False] * 3), rows([False] * 2 + [True] * 6 + [False] * 2)))[0]
    assert "fixed 2, broken 1, both wrong 2" in found.sentence


def test_field_accuracy_is_as_doubtful_on_few_rows() -> None:
    few = rows([True] * 10)
    assert evaluate_gates([FIELDS], report(few, few))[0].verdict is Verdict.NOT_ENOUGH_DATA
    many = rows([True] * 2000)
    assert evaluate_gates([FIELDS], report(many, many))[0].verdict is Verdict.PASS
    worse = rows([False] * 2000, fields=[0.95] * 2000)
    assert evaluate_gates([FIELDS], report(worse, many))[0].verdict is Verdict.FAIL


def test_latency_verdicts() -> None:
    times = [100.0 + i for i in range(150)]

    def of(factor: float, n: int = 150) -> Verdict:
        return evaluate_gates([LATENCY], report([], [], candidate=[t * factor for t in times[:n]], production=times[:n]))[0].verdict

    assert of(1.0) is Verdict.PASS
    assert of(1.5) is Verdict.FAIL
    assert of(1.0, 58) is Verdict.NOT_ENOUGH_DATA
    assert evaluate_gates([LATENCY], report([], []))[0].verdict is Verdict.NOT_ENOUGH_DATA
    uneven = report([], [], candidate=times, production=times[:-1])
    assert evaluate_gates([LATENCY], uneven)[0].verdict is Verdict.NOT_ENOUGH_DATA


def test_too_few_times_say_how_many_pairs_would_tell_by_those_there_are() -> None:
    rng = np.random.default_rng(0)
    times = [(100 * np.exp(0.3 * rng.standard_normal(58))).tolist() for _ in range(2)]
    result = evaluate_gates([LATENCY], report([], [], candidate=times[0], production=times[1]))[0]
    assert "58 interleaved pairs cannot bound the ratio of two 95th percentiles, at least 59 are needed" in result.sentence
    assert result.rows_needed is None or result.rows_needed > 100, "59 pairs of such times pass in 5 % of cases"
    none = evaluate_gates([LATENCY], report([], [], candidate=[], production=[]))[0]
    assert (none.verdict, none.rows_needed) == (Verdict.NOT_ENOUGH_DATA, None)
    odd = evaluate_gates([LATENCY], report([], [], candidate=times[0] * 2, production=times[1]))[0]
    assert "116 times of the candidate and 58 of production are not pairs" in odd.sentence
    with pytest.raises(InvalidInput, match="request 0 of candidate: its latency is below 0 ms"):
        evaluate_gates([LATENCY], report([], [], candidate=[-1.0] * 60, production=[1.0] * 60))


def test_latency_between_estimate_and_limit_is_not_enough_data() -> None:
    rng = np.random.default_rng(5)
    production = rng.lognormal(3, 0.4, 100)
    candidate = rng.lognormal(3, 0.4, 100)
    candidate *= 1.15 * np.quantile(production, 0.95) / np.quantile(candidate, 0.95)
    result = evaluate_gates([LATENCY], report([], [], candidate=candidate.tolist(), production=production.tolist()))[0]
    assert result.value == pytest.approx(1.15)
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert result.rows_needed is not None


def test_a_slow_mode_that_few_pairs_show_is_seldom_passed() -> None:
    # 6 % of the candidate's answers take three times as long: its p95 is threefold
    rng, runs = np.random.default_rng(6), 300
    for n in (60, 100):
        passed = 0
        for _ in range(runs):
            production, candidate = rng.normal(100, 1, (2, n))
            candidate *= np.where(rng.random(n) < 0.06, 3, 1)
            made = report([], [], candidate=candidate.tolist(), production=production.tolist())
            passed += evaluate_gates([LATENCY], made)[0].verdict is Verdict.PASS
        assert passed / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_an_empty_slice_is_not_enough_data_and_says_so() -> None:
    gate = Gate(metric="exact_match", slice="drifted", better_than="production")
    result = evaluate_gates([gate], report(rows([True] * 9), rows([False] * 9)))[0]
    assert (result.verdict, result.n) == (Verdict.NOT_ENOUGH_DATA, 0)
    assert "drifted" in result.sentence


def test_other_rows_or_another_order_is_an_error() -> None:
    candidate = rows([True] * 5)
    for production in (candidate[:-1], candidate[::-1], rows([True] * 5, "other")):
        with pytest.raises(ValueError, match="not scored on the same rows"):
            evaluate_gates([BETTER], report(candidate, production))


def test_a_gate_without_slice_leaves_the_held_out_rows_out() -> None:
    scores = rows([True] * 3, "established") + rows([True] * 2, "golden") + rows([False] * 9, HELD_OUT)
    assert len(in_slice(scores, None)) == 5
    assert len(in_slice(scores, "established")) == 3
    assert len(in_slice(scores, HELD_OUT)) == 9
    # nine held-out wins alone promote nobody
    better = rows([True] * 5) + rows([True] * 9, HELD_OUT)
    assert evaluate_gates([BETTER], report(better, rows([True] * 5) + rows([False] * 9, HELD_OUT)))[0].verdict is not Verdict.PASS


@settings(deadline=None)
@given(st.lists(st.sampled_from(list(Verdict)), max_size=5))
def test_only_all_passes_promote(verdicts: list[Verdict]) -> None:
    results = [GateResult(name="g", verdict=v, value=None, bound=None, threshold=0.0, n=1, sentence="") for v in verdicts]
    assert passed(results) == (len(verdicts) > 0 and set(verdicts) == {Verdict.PASS})


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_judgement_can_be_repeated_from_the_stored_report(pairs: list[tuple[bool, bool]]) -> None:
    made = report(rows([c for c, _ in pairs]), rows([p for _, p in pairs]), candidate=[1.0] * 30, production=[1.0] * 30)
    gates = [BETTER, NO_WORSE, FIELDS, LATENCY]
    stored = EvalReport.model_validate_json(made.model_dump_json())
    assert evaluate_gates(gates, stored) == evaluate_gates(gates, made)
    assert [result.name for result in evaluate_gates(gates, made)] == [gate.name for gate in gates]
