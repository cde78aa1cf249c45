"""What choosing among candidates does to the best one's score, by simulation."""

import numpy as np
import pytest

from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.wear import MOST, candidates_until, expected_maximum, optimism, wear
from ftassets_tests.domain.gates.reports import report, rows

BETTER = Gate(metric="exact_match", better_than="production")
NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.02)


def used(times: int, n: int = 300, differing: int = 30) -> EvalReport:
    right, wrong = [1.0] * n, [0.0] * (differing // 2) + [1.0] * (n - differing // 2)
    mine = wrong[::-1]
    made = report(rows(mine), rows(wrong))
    assert sum(a != b for a, b in zip(mine, wrong, strict=True)) == differing
    assert right != mine
    return made.model_copy(update={"golden_uses": times})


def test_the_expected_maximum_is_that_of_the_tables_of_order_statistics() -> None:
    # Harter (1961): n = 2, 3, 5, 10, 100
    found = [expected_maximum(n) for n in (1, 2, 3, 5, 10, 100)]
    assert found == pytest.approx([0, 0.56419, 0.84628, 1.16296, 1.53875, 2.50759], abs=1e-4)


@pytest.mark.parametrize(("candidates", "n"), [(2, 100), (10, 300), (40, 300)])
@pytest.mark.parametrize("hard", [0.0, 0.5])
def test_the_best_of_equal_candidates_scores_that_far_above_its_true_value(candidates: int, n: int, hard: float) -> None:
    rng, runs = np.random.default_rng(3), 4000
    # rows are hard or easy for all candidates alike; each candidate errs on its own besides
    easy = np.where(rng.random((runs, n)) < hard, 0.4, 0.95)
    true = hard * 0.4 + (1 - hard) * 0.95
    best = np.zeros(runs)
    for _ in range(candidates):
        best = np.maximum(best, (rng.random((runs, n)) < easy).mean(axis=1))
    differing = 2 * (hard * 0.4 * 0.6 + (1 - hard) * 0.95 * 0.05)
    assert best.mean() - true == pytest.approx(optimism(candidates, n, differing), rel=0.09, abs=0.0005)  # a little less near 1


def test_the_report_says_how_worn_its_rows_are_and_when_to_replace_them() -> None:
    first, ninth = wear(used(1), [BETTER]), wear(used(9), [BETTER])
    assert first is not None
    assert ninth is not None
    assert (first.optimism, first.worn) == (0, False)
    assert first.sentence.startswith("1 candidate was evaluated on this golden set; by chance alone the best of 1 equal ones scores 0.000")
    assert (ninth.rows, ninth.limit) == ("300 rows", 0.02)
    assert ninth.optimism == pytest.approx(0.0192, abs=0.0005)
    assert ninth.refresh_at == 11
    assert not ninth.worn
    assert "replace rows at 11 candidates" in ninth.sentence
    eleventh = wear(used(11), [BETTER])
    assert eleventh is not None
    assert eleventh.worn
    assert eleventh.sentence.endswith("more than 0.020, half of what a gate must tell apart: replace rows of the golden set")


def test_the_gate_that_suffers_most_counts() -> None:
    found = wear(used(5), [BETTER, NO_WORSE])
    assert found is not None
    assert found.limit == 0.01
    assert found.worn
    many = wear(used(5, n=5000, differing=500), [BETTER])
    assert many is not None
    assert many.refresh_at is None
    assert f"more than {MOST:,}" in many.sentence


def test_without_a_gate_on_rows_against_production_nothing_is_chosen_by_rows() -> None:
    assert wear(used(5), [Gate(metric="exact_match", at_least=0.5), Gate(metric="latency_p95", at_most=2000)]) is None
    assert wear(report([], []), [BETTER]) is None


def test_rows_on_which_no_two_models_differ_never_wear() -> None:
    assert candidates_until(0.01, 100, 0.0) is None
    assert optimism(10, 0, 0.1) == 0
