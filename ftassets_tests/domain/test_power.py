"""Power by sums and by resampling, against every outcome and against simulation."""

from math import comb

import numpy as np
import pytest

from ftassets.domain.mean_bounds import mean_p_value, pair_p_values
from ftassets.domain.power import ROWS_LIMIT, critical_wins, pairs_power, resampled_power, smallest


@pytest.mark.parametrize("limit", [0.0, -0.1, 0.05])
@pytest.mark.parametrize("n", [20, 150])
def test_critical_wins_are_the_fewest(n: int, limit: float) -> None:
    losses = np.arange(n + 1)
    first = critical_wins(n, losses, limit, 0.05)
    for lost, won in zip(losses.tolist(), first.tolist(), strict=True):
        passing = np.flatnonzero(pair_p_values(np.arange(n + 1 - lost), lost, n, limit) < 0.05)
        assert won == (passing[0] if passing.size else n + 1 - lost)


@pytest.mark.parametrize("limit", [0.0, -0.1])
def test_power_of_pairs_is_the_sum_over_every_outcome(limit: float) -> None:
    n, win, lose = 15, 0.2, 0.1
    total = sum(
        comb(n, w) * comb(n - w, x) * win**w * lose**x * (1 - win - lose) ** (n - w - x) * (pair_p_values(w, x, n, limit) < 0.05)
        for w in range(n + 1)
        for x in range(n + 1 - w)
    )
    assert pairs_power(n, win, lose, limit, 0.05) == pytest.approx(total, abs=1e-8)
    assert pairs_power(0, win, lose, limit, 0.05) == 0.0
    assert pairs_power(30, 0.0, 1.0, limit, 0.05) == 0.0


def test_resampled_power_is_the_simulated_one_and_repeats() -> None:
    rng = np.random.default_rng(2)
    values = rng.beta(4, 2, 300) - rng.beta(4, 2.2, 300)
    found = resampled_power(values.tolist(), 80, -0.05, -1.0, 0.05)
    simulated = np.mean([mean_p_value(rng.choice(values, 80).tolist(), -0.05, -1.0) < 0.05 for _ in range(600)])
    assert found == pytest.approx(simulated, abs=0.08)  # three standard errors of two simulations
    assert found == resampled_power(values.tolist(), 80, -0.05, -1.0, 0.05)


def test_the_smallest_number_is_found_from_the_first_on() -> None:
    assert smallest(lambda n: n >= 37) == 37
    assert smallest(lambda n: n >= 37, 100) == 100
    assert smallest(lambda n: n >= 5000, 100) == pytest.approx(5000, abs=3)
    assert smallest(lambda n: False) is None
    assert smallest(lambda n: n >= ROWS_LIMIT) == pytest.approx(ROWS_LIMIT, rel=0.001)
