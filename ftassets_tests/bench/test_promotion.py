"""The benchmark of promotion rules measures what the gates and the error budget do, not copies of them."""

import argparse

import numpy as np
import pytest
from scipy.stats import binom

from bench import promotion
from bench.promotion import BUDGET, CYCLES, GAIN, ROWS, RULES, WANTED, levels, measure, promoted_at
from bench.rows import Row
from ftassets.domain.gates.evidence import pairs_evidence
from ftassets.domain.gates.result import Verdict
from ftassets.domain.statistics import Pairs


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(measure(argparse.Namespace(years=400, peer_years=1, seed=3, peers=False)))


def test_our_goals_hold_and_each_peer_promotes_more_bad_candidates(rows: list[Row]) -> None:
    assert all(row.holds is not False for row in rows)
    bad = {row.peer_name: row for row in rows if row.what.startswith("bad promotions a year")}
    assert set(bad) == {"each at 95 %", *RULES}
    for row in bad.values():
        assert row.peer is not None
        assert row.ours < row.peer


def test_levels_are_those_of_a_second_year_and_within_the_budget() -> None:
    found = levels(sum(CYCLES.values()))
    assert len(found) == 50
    assert found.sum() <= BUDGET
    assert found.max() < WANTED


def test_a_promotion_is_the_verdict_of_the_gate_and_as_frequent_as_exact_sums_say() -> None:
    rng = np.random.default_rng(0)
    gains = np.full((20_000, 1), GAIN["better"])
    share = promoted_at(rng, gains, np.array([WANTED])).mean()
    exact = promotion.pair_p_values(np.arange(101)[:, None], np.arange(101)[None, :], ROWS, 0.0) < WANTED
    won, lost = np.arange(101)[:, None], np.arange(101)[None, :]
    weight = binom.pmf(won, ROWS, 0.07) * binom.pmf(lost, ROWS - won, 0.03 / 0.93)
    assert share == pytest.approx(float((weight * exact).sum()), abs=0.01)
    for wins, losses in ((30, 10), (20, 14), (25, 12)):
        passes = pairs_evidence(Pairs(wins, losses, ROWS), 0.0, 1 - WANTED).verdict is Verdict.PASS
        assert passes is bool(exact[wins, losses])
