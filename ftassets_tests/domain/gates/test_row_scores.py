"""Gates on a value for each row: what each verdict means and how often it is wrong."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import GateResult, Verdict, about
from ftassets_tests.domain.gates.reports import report, rows

PRODUCTION = "production"
ROUGE = Gate(metric="rouge.rougeL", better_than=PRODUCTION)
NO_WORSE = Gate(metric="rouge.rougeL", no_worse_than=PRODUCTION, margin=0.05)
LENGTH = Gate(metric="output_length.mean", no_worse_than=PRODUCTION, margin=0.2)
REFUSALS = Gate(metric="refusal_rate.refusal_rate", no_worse_than=PRODUCTION, margin=0.05)


def result(gate: Gate, candidate: NDArray[np.float64] | list[float], production: NDArray[np.float64] | list[float]) -> GateResult:
    found = report(rows(list(candidate), gate.metric), rows(list(production), gate.metric))
    return evaluate_gates([gate], found)[0]


def draw(rng: np.random.Generator, n: int, gain: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two versions that find most rows equally hard; a few rows differ a lot, which is the least kind to a normal approximation."""
    hard = rng.beta(2, 1, n)
    moved = np.where(rng.random((2, n)) < 0.2, rng.random((2, n)), hard)
    return np.clip(moved[0] + gain, 0, 1), moved[1]


def test_superiority_seldom_passes_an_equal_model_and_finds_a_better_one() -> None:
    rng, runs = np.random.default_rng(21), 60
    false = sum(result(ROUGE, *draw(rng, 100)).verdict is Verdict.PASS for _ in range(runs))
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert sum(result(ROUGE, *draw(rng, 300, 0.08)).verdict is Verdict.PASS for _ in range(30)) >= 27


def test_non_inferiority_seldom_passes_a_model_worse_by_the_margin() -> None:
    rng, runs = np.random.default_rng(22), 60
    false = 0
    for _ in range(runs):
        production = rng.uniform(0.3, 0.9, 150)
        candidate = production - 0.05 + rng.normal(0, 0.25, 150).clip(-0.25, 0.25)
        false += result(NO_WORSE, candidate.tolist(), production.tolist()).verdict is Verdict.PASS
    assert false / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_verdicts_of_superiority() -> None:
    assert result(ROUGE, [0.8] * 50, [0.5] * 50).verdict is Verdict.PASS
    assert result(ROUGE, [0.5] * 50, [0.5] * 50).verdict is Verdict.NOT_ENOUGH_DATA
    assert result(ROUGE, [0.5] * 50, [0.8] * 50).verdict is Verdict.FAIL
    few = result(ROUGE, [0.9] * 4, [0.5] * 4)
    assert few.verdict is Verdict.NOT_ENOUGH_DATA
    assert few.p_value is not None
    assert few.bound is not None
    assert few.p_value > 0.05
    assert few.bound < 0


def test_field_accuracy_is_compared_by_its_shares_not_by_whole_answers() -> None:
    gate = Gate(metric="field_accuracy", better_than=PRODUCTION)
    assert result(gate, [0.4] * 80, [0.1] * 80).verdict is Verdict.PASS  # no answer of either is right


def test_row_values_that_are_right_or_wrong_get_the_exact_test() -> None:
    gate = Gate(metric="validity.validity", better_than=PRODUCTION)
    found = result(gate, [1.0] * 40, [0.0] * 5 + [1.0] * 35)
    assert found.p_value == pytest.approx(1 / 32)
    assert "exact McNemar" in found.sentence


@pytest.mark.parametrize(("up", "verdict"), [(0.8, Verdict.PASS), (0.62, Verdict.FAIL)])
def test_rows_that_would_tell_do_tell_in_80_of_100_cases(up: float, verdict: Verdict) -> None:
    candidate, production = np.tile([up, 0.3], 10), np.full(20, 0.5)
    short = result(ROUGE, candidate, production)
    assert short.verdict is Verdict.NOT_ENOUGH_DATA
    assert short.rows_needed is not None
    assert short.sentence.endswith(f"about {about(short.rows_needed)} rows would tell in 80% of cases")
    rng, n = np.random.default_rng(7), short.rows_needed
    told = [result(ROUGE, rng.choice([up, 0.3], n), np.full(n, 0.5)).verdict is verdict for _ in range(300)]
    assert np.mean(told) == pytest.approx(0.8, abs=0.05 + 0.03)  # 0.05, and more than a standard error of 300 runs


def test_only_a_lack_of_data_asks_for_rows_and_a_hair_asks_for_none() -> None:
    assert result(ROUGE, [0.8] * 50, [0.5] * 50).rows_needed is None
    assert result(ROUGE, [0.1] * 50, [0.5] * 50).rows_needed is None
    hair = result(ROUGE, [0.5, 0.9, 0.1, 0.5 + 1e-7], [0.5, 0.1, 0.9, 0.5])
    assert (hair.verdict, hair.rows_needed) == (Verdict.NOT_ENOUGH_DATA, None)


def test_lower_is_better_for_length_and_the_margin_is_relative() -> None:
    rng = np.random.default_rng(4)
    production = rng.uniform(50, 150, 400)
    assert result(LENGTH, production, production).verdict is Verdict.PASS
    assert result(LENGTH, production * 0.5, production).verdict is Verdict.PASS
    assert result(LENGTH, production * 1.5, production).verdict is Verdict.FAIL
    assert result(LENGTH, production[:4], production[:4]).verdict is Verdict.NOT_ENOUGH_DATA
    assert "lower is better" in result(LENGTH, production, production).sentence


def test_values_beyond_the_scale_count_as_its_end_while_they_are_few() -> None:
    production = [100.0] * 1000
    one = result(LENGTH, [100.0] * 999 + [1e6], production)
    assert (one.verdict, "1 values beyond 0 to 2000 counted as these" in one.sentence) == (Verdict.PASS, True)
    many = result(LENGTH, [100.0] * 900 + [3000.0] * 100, production)
    assert (many.verdict, "write `clip` in the gate" in many.sentence) == (Verdict.NOT_ENOUGH_DATA, True)
    assert result(LENGTH.model_copy(update={"clip": 4000.0}), [100.0] * 900 + [3000.0] * 100, production).verdict is Verdict.FAIL
    own = Gate(metric="mine:Own.value", better_than=PRODUCTION)
    assert result(own, [0.9] * 50, [0.2] * 50).verdict is Verdict.PASS
    assert result(own, [9.0] * 50, [2.0] * 50).verdict is Verdict.NOT_ENOUGH_DATA
    assert result(own.model_copy(update={"clip": 10.0}), [9.0] * 50, [2.0] * 50).verdict is Verdict.PASS
    with pytest.raises(ValidationError, match="clip is for metrics without a largest value"):
        Gate(metric="exact_match", better_than=PRODUCTION, clip=2)


def test_a_few_answers_that_are_far_longer_are_no_small_difference() -> None:
    # 3 of 100 answers ten times as long: the mean is 27 % higher, and 30 rows show none of them in 40 % of cases
    assert result(LENGTH, [100.0] * 30, [100.0] * 30).verdict is Verdict.NOT_ENOUGH_DATA


def test_perplexity_is_compared_in_nats_and_lower_is_better() -> None:
    rng = np.random.default_rng(5)
    gate = Gate(metric="perplexity.nll", no_worse_than=PRODUCTION, margin=0.1)
    production = rng.gamma(2, 0.6, 600)  # nats a token, some rows far above 1
    assert result(gate, production * 0.8, production).verdict is Verdict.PASS
    worse = result(gate, production + 0.3, production)
    assert (worse.verdict, worse.threshold, worse.value) == (Verdict.FAIL, 0.1, pytest.approx(0.3))
    assert result(gate, production + 0.1, production).verdict is not Verdict.PASS
    assert result(Gate(metric="perplexity.nll", at_most=1.5), production, production).verdict is Verdict.PASS
    with pytest.raises(ValidationError, match="better when lower"):
        Gate(metric="perplexity.nll", better_than=PRODUCTION)


def test_more_refusals_fail_and_fewer_pass() -> None:
    often, seldom = [1.0] * 60 + [0.0] * 340, [0.0] * 400
    assert result(REFUSALS, often, seldom).verdict is Verdict.FAIL
    assert result(REFUSALS, seldom, often).verdict is Verdict.PASS


def test_margins_of_chrf_are_shares_of_its_scale() -> None:
    gate = Gate(metric="chrf.chrf", no_worse_than=PRODUCTION, margin=0.05)
    found = result(gate, [57.0] * 300, [60.0] * 300)
    assert (found.threshold, found.verdict, found.value) == (-5.0, Verdict.PASS, pytest.approx(-3.0))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("gate", [ROUGE, NO_WORSE, Gate(metric="rouge.rougeL", at_least=0.5), Gate(preset="rouge_l")])
def test_a_score_that_is_no_number_is_an_error_with_row_and_metric(gate: Gate, bad: float) -> None:
    with pytest.raises(ValueError, match=r"row r2: rouge\.rougeL is (nan|inf)"):
        evaluate_gates([gate], report(rows([0.5, 0.5, bad]), rows([0.5, 0.5, 0.5])))


def test_a_metric_the_report_lacks_is_never_a_pass() -> None:
    for gate in (ROUGE, NO_WORSE, Gate(metric="rouge.rougeL", at_least=0.1), Gate(metric="f1", better_than=PRODUCTION)):
        found = evaluate_gates([gate], report(rows([1.0] * 99, "other"), rows([0.0] * 99, "other")))[0]
        assert found.verdict is Verdict.NOT_ENOUGH_DATA
        assert "was not measured for each row" in found.sentence
