"""The bound of the difference holds at all ticks at once, and a candidate within the margin passes."""

from math import inf

import numpy as np
import pytest

from ftassets.domain.rollout.non_inferiority import FEWEST_USERS, difference
from ftassets.domain.traffic.lapses import LapseCounts

MARGIN = 0.05


def counts_of(lapses: np.ndarray, answers: np.ndarray) -> LapseCounts:
    """Of users with so many lapses among so many answers."""
    n, x = answers, lapses
    return LapseCounts(int((n > 0).sum()), *(int(each) for each in (n.sum(), x.sum(), n @ n, x @ x, n @ x, x.max(initial=0))))


def bounds(rng: np.random.Generator, rate: float, worse: float, users: int, ticks: int, broken: float) -> np.ndarray:
    """At each tick, of one canary at 50 %: users come as they do, some of them with a broken client."""
    mine = rng.random(users) < 0.5
    chance = np.where(rng.random(users) < broken, 1.0, np.clip(rng.beta(1, 1 / rate - 1, users) + worse * mine, 0, 1))
    pace = rng.gamma(0.5, size=users)
    pace *= 40 / ticks / pace.mean()
    answers, lapses, found = np.zeros(users, dtype=int), np.zeros(users, dtype=int), []
    for _ in range(ticks):
        new = rng.poisson(pace)
        answers, lapses = answers + new, lapses + rng.binomial(new, chance)
        found.append(difference(counts_of(lapses[mine], answers[mine]), counts_of(lapses[~mine], answers[~mine]), MARGIN, 0.05).bound)
    return np.array(found)


@pytest.mark.parametrize(("rate", "broken", "users"), [(0.05, 0.0, 1000), (0.01, 0.02, 1000), (0.05, 0.02, 200)])
def test_a_candidate_worse_by_the_margin_seldom_passes_at_any_of_many_ticks(rate: float, broken: float, users: int) -> None:
    rng = np.random.default_rng(1)
    passed = sum(bool((bounds(rng, rate, MARGIN / (1 - broken), users, 40, broken) < MARGIN).any()) for _ in range(150))
    assert passed <= 14, "at 5 % more than 14 of 150 have probability 0.01"


def test_an_equal_candidate_passes() -> None:
    rng = np.random.default_rng(2)
    assert np.mean([bounds(rng, 0.05, 0.0, 1000, 10, 0.0)[-1] < MARGIN for _ in range(40)]) > 0.8


def clean(users: int, answers: int = 1) -> LapseCounts:
    return LapseCounts(users, users * answers, 0, users * answers**2, 0, 0, 0)


def test_without_a_lapse_few_users_prove_little() -> None:
    assert difference(clean(FEWEST_USERS), clean(FEWEST_USERS), MARGIN, 0.05).bound > MARGIN
    assert 1 / 1001 < difference(clean(1000), clean(1000), MARGIN, 0.05).bound < MARGIN
    assert difference(clean(FEWEST_USERS - 1, 1000), clean(1000), MARGIN, 0.05).bound == inf
    assert difference(LapseCounts(), clean(1000), MARGIN, 0.05).bound == inf
    failing = LapseCounts(1000, 1000, 1000, 1000, 1000, 1000, 1)
    assert difference(failing, clean(1000), MARGIN, 0.05).bound > 1
    heavy = LapseCounts(1000, 100_999, 0, 100_000**2 + 999, 0, 0, 0)
    assert difference(heavy, clean(1000), MARGIN, 0.05).bound == inf, "nearly all answers are one user's"


def test_more_data_and_a_larger_error_bring_the_bound_closer() -> None:
    def bound(users: int, error: float) -> float:
        each = LapseCounts(users, 20 * users, users, 400 * users, 3 * users, 30 * users, 5)
        return difference(each, each, MARGIN, error).bound

    assert bound(4000, 0.05) < bound(1000, 0.05) < bound(100, 0.05)
    assert bound(1000, 0.2) < bound(1000, 0.05)


def test_answers_of_one_user_are_worth_less_than_those_of_many() -> None:
    """By hand: of users whose answers lapse all or not at all, each user is one draw."""
    users, lapsing, answers = 1000, 50, 10
    together = LapseCounts(
        users, users * answers, lapsing * answers, users * answers**2, lapsing * answers**2, lapsing * answers**2, answers
    )
    alone = LapseCounts(users * answers, users * answers, lapsing * answers, users * answers, lapsing * answers, lapsing * answers, 1)
    wide, close = (difference(each, each, MARGIN, 0.05) for each in (together, alone))
    assert wide.estimate == close.estimate == 0
    assert wide.bound > 2.5 * close.bound
