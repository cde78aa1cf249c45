"""Up to which age of an answer feedback counts: as early as most of each kind has come, and without changes back and forth."""

import numpy as np
import pytest

from ftassets.domain.monitoring.feedback_age import AGES, LEAST, YOUNG, feedback_age
from ftassets.domain.traffic.feedback import FeedbackAge

HOUR = 3600.0


def came(up: float = 0.0, down: float = 0.0, seed: int = 0, pieces: int = 2000) -> list[FeedbackAge]:
    """Thumbs up and down that come after days on average, exponentially."""
    rng = np.random.default_rng(seed)
    hours = [np.floor(rng.exponential(max(mean, 1e-9) * 24, pieces)).astype(int) for mean in (up, down)]
    counts = [np.bincount(each, minlength=400) for each in hours]
    return [FeedbackAge(hour, int(counts[0][hour]), int(counts[1][hour]), 0) for hour in range(400)]


def share(found: list[FeedbackAge], kind: str, hours: float) -> float:
    total = sum(getattr(each, kind) for each in found if each.hours < AGES[-1])
    return sum(getattr(each, kind) for each in found if each.hours < hours) / total


def test_feedback_at_once_counts_after_an_hour() -> None:
    assert feedback_age(came()) == HOUR


@pytest.mark.parametrize("days", [0.2, 1.0, 3.0, 6.0])
@pytest.mark.parametrize("kind", ["up", "down"])
def test_the_latest_kind_decides_and_most_of_it_counts(kind: str, days: float) -> None:
    found = came(**{kind: days})
    hours = feedback_age(found) / HOUR
    smaller = AGES[AGES.index(int(hours)) - 1]
    assert share(found, kind, hours) >= 0.8 > share(found, kind, smaller)


def test_while_nothing_is_known_it_is_three_days_or_as_before() -> None:
    assert feedback_age([]) == YOUNG * HOUR
    assert feedback_age([], 6 * HOUR) == 6 * HOUR
    few = [FeedbackAge(0, LEAST - 1, 0, 0)]
    assert feedback_age(few) == YOUNG * HOUR
    assert feedback_age([*few, FeedbackAge(0, 0, LEAST, 0)]) == HOUR
    assert feedback_age([*few, FeedbackAge(400, 5 * LEAST, 0, 0)]) == YOUNG * HOUR, "what comes after weeks is of no age that may be chosen"


def test_chance_does_not_move_it_back_and_forth() -> None:
    """At 80 % by three days, half of the samples are on each side; without memory the age would change at every other report."""
    ages = [feedback_age(came(up=72 / 24 / np.log(5), seed=seed, pieces=200)) for seed in range(40)]
    assert len(set(ages)) > 1
    known = ages[0]
    for seed in range(40):
        assert feedback_age(came(up=72 / 24 / np.log(5), seed=seed, pieces=200), known) == known


def test_it_moves_when_users_take_another_time() -> None:
    assert feedback_age(came(up=3.0), HOUR) == 5 * 24 * HOUR
    assert feedback_age(came(), 5 * 24 * HOUR) == HOUR
