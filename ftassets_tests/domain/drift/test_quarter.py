"""Quarters of daily reports with a weekday pattern and nothing new: false retrains stay within the budget."""

import numpy as np
import pytest

from ftassets.domain.drift import Reference, alarm_rate, novelty_thresholds
from ftassets.domain.drift.novelty import NOVELTY, nearest_distances, novelty_scores
from ftassets.domain.drift.occupancy import assign
from ftassets_tests.domain.drift.topics import EVEN, KNOWN, queries, topics

QUARTERS, WEEKS = 500, 13
VOLUMES = (300, 300, 300, 300, 300, 120, 100)  # queries a day, Monday to Sunday


@pytest.fixture(scope="module")
def days(reference: Reference) -> np.ndarray:
    """Novelty statistics (quarters, days, columns) of every day's window."""
    pool, topic = queries(20_000, EVEN, seed=50), topics(20_000, EVEN, seed=50)
    scores = novelty_scores(reference.usual, nearest_distances(pool, reference.vectors), assign(pool, reference.centres))
    rng = np.random.default_rng(8)
    by_weekday = []
    for weekday, volume in enumerate(VOLUMES):
        mix = np.where(np.arange(KNOWN) % 7 == weekday, 2.0, 1.0) * (np.where(np.arange(KNOWN) < 5, 0.5, 1.0) if weekday > 4 else 1.0)
        weights = mix[topic] / mix[topic].sum()
        by_weekday.append(scores[rng.choice(len(pool), (QUARTERS * WEEKS, volume), p=weights)].mean(axis=1))
    return np.stack(by_weekday, axis=1).reshape(QUARTERS, WEEKS * 7, len(NOVELTY))


def within_budget(reference: Reference, days: np.ndarray, rate: float, consecutive: int, budget: int) -> float:
    """Share of quarters with at most `budget` runs of `consecutive` alarms."""
    thresholds = np.tile([novelty_thresholds(reference, n, rate) for n in VOLUMES], (WEEKS, 1))
    retrains, in_a_row = np.zeros(QUARTERS, dtype=int), np.zeros(QUARTERS, dtype=int)
    for alarm in (days > thresholds).any(axis=2).T:
        in_a_row = np.where(alarm, in_a_row + 1, 0)
        retrains += in_a_row == consecutive
        in_a_row[in_a_row == consecutive] = 0
    return float((retrains <= budget).mean())


@pytest.mark.parametrize("consecutive", [1, 2])
def test_false_retrains_stay_within_the_budget(reference: Reference, days: np.ndarray, consecutive: int) -> None:
    rate = alarm_rate(1, 91, consecutive=consecutive)
    assert within_budget(reference, days, rate, consecutive, budget=1) >= 0.95


def test_a_rate_without_regard_to_the_budget_overspends_it(reference: Reference, days: np.ndarray) -> None:
    assert within_budget(reference, days, 0.2, consecutive=1, budget=1) < 0.8
