"""Fixed rules, on canaries that are written down."""

import numpy as np
import pytest

from ftassets.domain.rollout.rules import RULES, Counts, false_rollbacks

HOUR, FLAGGER, ARGO = RULES


def counts(*asked: int) -> Counts:
    return np.array([asked])


def test_an_hour_below_one_percent_promotes_and_above_two_rolls_back() -> None:
    asked = counts(*[100] * 13)
    for failed, ends in ([1] * 13, 0), ([0] * 13, 1), ([3, *[0] * 12], -1), ([0] * 12 + [99], 1), ([0] * 11 + [99, 0], -1):
        assert HOUR.ends(asked, counts(*failed))[0] == ends
    assert HOUR.ends(counts(*[100] * 11), counts(*[0] * 11))[0] == 0


def test_flagger_counts_failed_checks_and_needs_traffic() -> None:
    assert FLAGGER.ends(counts(*[100] * 10), counts(*[0] * 10))[0] == 1
    assert FLAGGER.ends(counts(*[100] * 10), counts(*[2, 0] * 5))[0] == -1
    assert FLAGGER.ends(counts(*[0] * 20), counts(*[0] * 20))[0] == 0


def test_argo_aborts_after_more_than_three_failures() -> None:
    asked = counts(*[10] * 10)
    assert [ARGO.ends(asked, counts(*[1] * bad, *[0] * (10 - bad)))[0] for bad in (3, 4)] == [1, -1]


def test_false_rollbacks_of_the_hour_are_those_of_exact_sums() -> None:
    from scipy.stats import binom, poisson

    found = false_rollbacks(0.05, 24_000, 0.01, 300 / 86_400, 20_000)
    n = np.arange(60)
    exact = float((poisson.pmf(n, 0.05 * 24_000 * 300 / 86_400) * binom.sf(np.floor(0.02 * n), n, 0.01)).sum())
    assert found[HOUR.name] == pytest.approx(exact, abs=0.006)
    assert false_rollbacks(0.05, 24_000, 0.01, 7, 100)[HOUR.name] > 0.3
