"""Verdicts and the rows that would tell."""

import numpy as np
import pytest

from ftassets.domain.gates.evidence import mean_evidence, pairs_evidence
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import pair_p_values, weighted_p_values
from ftassets.domain.statistics import Pairs


@pytest.mark.parametrize(
    ("pairs", "limit", "verdict"),
    [
        (Pairs(30, 5, 200), 0.0, Verdict.PASS),
        (Pairs(5, 30, 200), 0.0, Verdict.FAIL),
        (Pairs(10, 8, 200), 0.0, Verdict.NOT_ENOUGH_DATA),
        (Pairs(8, 10, 200), 0.0, Verdict.NOT_ENOUGH_DATA),
        (Pairs(0, 0, 149), -0.02, Verdict.PASS),  # 0.98 ** 149 < 0.05
        (Pairs(0, 0, 148), -0.02, Verdict.NOT_ENOUGH_DATA),
    ],
)
def test_a_verdict_follows_from_the_two_bounds(pairs: Pairs, limit: float, verdict: Verdict) -> None:
    found = pairs_evidence(pairs, limit, 0.95)
    assert found.verdict is verdict
    assert (found.lower > limit, found.upper < limit) == (verdict is Verdict.PASS, verdict is Verdict.FAIL)
    assert (found.rows_needed is None) == (verdict is not Verdict.NOT_ENOUGH_DATA)
    swapped = pairs_evidence(Pairs(pairs.only_production, pairs.only_candidate, pairs.n), -limit, 0.95)
    assert (swapped.lower, swapped.upper) == (-found.upper, -found.lower)


@pytest.mark.parametrize("pairs", [Pairs(12, 6, 200), Pairs(6, 12, 200), Pairs(3, 0, 60), Pairs(30, 26, 100)])
@pytest.mark.parametrize("limit", [0.0, -0.02])
def test_the_rows_that_would_tell_do_in_80_of_100_cases(pairs: Pairs, limit: float) -> None:
    found = pairs_evidence(pairs, limit, 0.95)
    n = found.rows_needed
    if n is None:
        assert found.verdict is not Verdict.NOT_ENOUGH_DATA or found.value == limit
        return
    shares = [pairs.only_candidate / pairs.n, pairs.only_production / pairs.n]
    draws = np.random.default_rng(0).multinomial(n, [*shares, 1 - sum(shares)], size=4000)
    wins, losses = (draws[:, 0], draws[:, 1]) if found.value > limit else (draws[:, 1], draws[:, 0])
    told = pair_p_values(wins, losses, n, limit if found.value > limit else -limit) < 0.05
    assert told.mean() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("values", "limit"),
    [([0.0] * 5 + [1.0] * 95, 0.9), ([0.2] * 20 + [0.9] * 30, 0.55), ([0.0, 0.5, 0.9, 1.0] * 10, 0.5), ([1.0] * 20, 0.9)],
)
def test_the_rows_that_scores_need_are_those_that_tell(values: list[float], limit: float) -> None:
    n = mean_evidence(values, (0.0, 1.0), limit, 0.95).rows_needed
    assert n is not None
    distinct, counts = np.unique(values, return_counts=True)
    draws = np.random.default_rng(0).multinomial(n, counts / counts.sum(), size=4000)
    told = float(np.mean(weighted_p_values(distinct, draws, limit, 0.0) < 0.05))
    assert told >= 0.75
    assert told <= 0.87 or len(distinct) == 1  # rows that do not vary tell at once


def test_an_estimate_at_the_limit_asks_for_no_rows() -> None:
    assert pairs_evidence(Pairs(3, 3, 50), 0.0, 0.95).rows_needed is None
    assert mean_evidence([0.5] * 20, (0.0, 1.0), 0.5, 0.95).rows_needed is None
