"""The intervals whose coverage is an exact sum, and figures of the simulated ones by hand."""

import numpy as np
import pytest
from scipy.stats import binom

from bench import gates, intervals
from ftassets.domain.statistics import share_interval


def test_intervals_with_exact_sums_miss_no_more_than_stated() -> None:
    rows = [*intervals.shares(), *intervals.sequential(), *intervals.differences(), *intervals.percentiles()]
    assert len(rows) == 5
    assert [row.what for row in rows if not row.ours <= 0.05 + 1e-12] == []
    assert [row.what for row in rows if row.peer is not None and row.peer <= 0.1] == [], "the usual ones miss far more"


def test_a_missed_share_is_counted_by_hand() -> None:
    low, high = share_interval(3, 10)
    assert low < 0.4 < high
    outside = [k for k in range(11) if not share_interval(k, 10)[0] <= 0.4 <= share_interval(k, 10)[1]]
    assert intervals.share_missed(10, 0.4) == pytest.approx(sum(binom.pmf(k, 10, 0.4) for k in outside))


def test_human_review_and_kappa_at_their_limits() -> None:
    assert all(row.holds for row in gates.reviewed())
    *_, kappa = gates.by_judge(np.random.default_rng(0), 1)
    assert kappa.what.startswith("a judge whose kappa is min_kappa")
    assert kappa.holds


@pytest.mark.parametrize("chances", intervals.AGREEMENTS.values())
def test_kappas_interval_misses_no_more_than_stated(chances: tuple[float, ...]) -> None:
    """As the interval itself does: the bench asks the tests that it inverts."""
    rng = np.random.default_rng(0)
    truth = intervals.true_kappa(np.array(chances, dtype=float)[None])[0]
    tables = rng.multinomial(30, chances, size=300)
    assert intervals.kappa_missed(tables, truth).mean() <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_the_goal_leaves_room_for_chance_only() -> None:
    assert intervals.row("x", 0.06).holds is False
    assert intervals.row("x", 0.06, draws=400, cells=10).holds is True
    assert intervals.row("x", 0.061, draws=20_000, cells=10).holds is False
    assert intervals.row("x", 0.2, draws=400, cells=10).holds is False
