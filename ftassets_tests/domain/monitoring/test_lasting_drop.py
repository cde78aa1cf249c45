"""The statistic of a lasting drop against exact sums, and its errors over a year."""

from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom

from ftassets.domain.monitoring import lasting_drop
from ftassets.domain.monitoring.lasting_drop import DayShare, Turn, Watch, likelihoods, limit_of, turns

DROP = 0.05


def followed(good: np.ndarray, units: int, limit: float, smallest: float = DROP) -> list[list[Turn]]:
    """Turns of each series of good ones (series, days)."""
    logs = likelihoods(np.full(units + 1, units), np.arange(units + 1), smallest)
    watch, found = Watch(smallest, len(good)), [list[Turn]() for _ in good]
    for day, counts in enumerate(good.T, start=1):
        if (changed := watch.evidence(logs[counts]) >= limit).any():
            watch.turn(changed)
            for number in np.flatnonzero(changed):
                found[number].append(Turn(day, bool(watch.down[number])))
    return found


def test_likelihoods_are_those_of_the_beta_binomial_distribution() -> None:
    a, b, _ = lasting_drop._grid(DROP)
    levels = a / (a + b)
    assert levels[0, 0] - levels[1, 0] == pytest.approx(np.minimum(DROP, levels[0, 0] - lasting_drop._LOWEST))
    spread = np.sqrt(levels * (1 - levels) / (a + b + 1))
    middle = slice(25, 45)
    assert spread[0, :, middle] == pytest.approx(np.repeat(np.array([[0.02], [0.04], [0.08]]), 20, axis=1))
    whole = betabinom(20, a[0], b[0])
    near = slice(48, 62)  # so many levels fit, that neither day is odd to one
    found = (likelihoods([20], [17], DROP) - likelihoods([20], [14], DROP))[0, 0, :, near]
    expected = whole.logpmf(17) - np.log(1140) - whole.logpmf(14) + np.log(38760)  # less the numbers of orders, C(20, 17) and C(20, 14)
    assert found == pytest.approx(expected[:, near], abs=1e-8)


def test_evidence_is_the_sum_over_starts_and_hypotheses_and_its_mean_is_the_number_of_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all outcomes of eight days of one answer: the ratio of the marginal probabilities, computed one start at a time."""
    monkeypatch.setattr(lasting_drop, "WEEK", 2)
    monkeypatch.setattr(lasting_drop, "ONE_DAY", 1e9)
    monkeypatch.setattr(lasting_drop, "_MOST", 1e300)
    monkeypatch.setattr(lasting_drop, "ODD_DAY", 1e9)
    a, b, prior = lasting_drop._grid(0.1)
    days = 8
    outcomes = np.array(list(product((0, 1), repeat=days)))
    chance = np.array([betabinom.pmf(k, 1, a, b) for k in (0, 1)])  # (2, 1 + shifts, effects, levels)
    logs = likelihoods([1, 1], [0, 1], 0.1)
    watch = Watch(0.1, len(outcomes))
    for day in range(days):
        found = watch.evidence(logs[outcomes[:, day]])
    steady = (prior * reduce(np.multiply, [chance[outcomes[:, day], :1] for day in range(days)])).sum(axis=(1, 2, 3))
    changed = np.zeros(len(outcomes))
    for start in range(2, days):
        parts = [chance[outcomes[:, day], :1] if day < start else chance[outcomes[:, day], 1:] for day in range(days)]
        changed += (prior * reduce(np.multiply, parts)).sum(axis=(1, 2, 3))
    assert found == pytest.approx(changed / steady)
    assert (steady * found).sum() == pytest.approx(days - 2)


@pytest.mark.parametrize(("units", "share"), [(50, 0.7), (50, 0.98), (200, 0.9)])
@pytest.mark.parametrize("kind", ["steady", "days", "weeks"])
def test_a_steady_level_is_called_dropped_in_no_more_years_than_stated(units: int, share: float, kind: str) -> None:
    rng = np.random.default_rng(units)
    level = np.full((60, 365), share)
    level += rng.normal(0, 0.02, level.shape) if kind != "steady" else 0
    level += 0.02 * np.sin(2 * np.pi * np.arange(365) / 7) if kind == "weeks" else 0
    found = followed(rng.binomial(units, np.clip(level, 0, 1)), units, limit_of(0.1))
    assert sum(bool(each) for each in found) <= 60 * 0.1


@pytest.mark.parametrize(("drop", "within"), [(0.05, 14), (0.1, 6)])
def test_a_lasting_drop_is_found_once_and_ends_once(drop: float, within: int) -> None:
    rng = np.random.default_rng(3)
    level = 0.9 + rng.normal(0, 0.02, (40, 130))
    level[:, 42:100] -= drop
    found = followed(rng.binomial(200, level), 200, limit_of(0.1))
    assert np.mean([[turn.down for turn in each] == [True, False] for each in found]) >= 0.9
    assert np.median([each[0].days - 42 for each in found if each]) <= within


def test_one_bad_day_or_two_are_no_lasting_drop() -> None:
    for bad in (1, 2):
        days = [DayShare(200, 196)] * 30 + [DayShare(200, 0)] * bad + [DayShare(200, 196)] * 30
        assert turns(days, DROP, limit_of(0.05)) == []


@pytest.mark.parametrize("level", [0.6, 0.45, 0.2, 0.0])
def test_the_loss_of_half_or_all_is_found_in_days_and_an_outage_before_hides_no_drop(level: float) -> None:
    outage = [DayShare(200, 196)] * 20 + [DayShare(200, 0)] + [DayShare(200, 196)] * 20
    [turn] = turns([*outage, *[DayShare(200, 200 * level)] * 6], DROP, limit_of(0.02))
    assert turn.down
    [turn] = turns([*outage, *[DayShare(200, 180)] * 8], DROP, limit_of(0.1))
    assert turn.down


def test_a_drop_below_half_of_the_smallest_is_not_found_however_long_it_lasts() -> None:
    assert turns([DayShare(1000, 900)] * 60 + [DayShare(1000, 880)] * 300, DROP, limit_of(0.3)) == []


def test_single_answers_a_day_add_up() -> None:
    days = [DayShare(1, 1)] * 100 + [DayShare(1, 0)] * 30
    [turn] = turns(days, DROP, limit_of(0.1))
    assert turn.down
    assert turn.days < 115


def test_after_a_large_drop_that_is_over_a_small_one_is_found_as_well() -> None:
    days = [DayShare(1000, 900)] * 30 + [DayShare(1000, 600)] * 20 + [DayShare(1000, 900)] * 20 + [DayShare(1000, 850)] * 14
    assert [turn.down for turn in turns(days, DROP, limit_of(0.1))] == [True, False, True]


def test_a_slow_fall_is_found() -> None:
    days = [DayShare(200, round(200 * level)) for level in np.linspace(0.9, 0.7, 60)]
    assert turns(days, DROP, limit_of(0.1))[0].down


def test_what_was_told_stands_and_is_not_told_again() -> None:
    days = [DayShare(200, 180)] * 30 + [DayShare(200, 150)] * 30 + [DayShare(200, 180)] * 30
    found = turns(days, DROP, limit_of(0.1))
    assert [turn.down for turn in found] == [True, False]
    for number in range(1, len(days) + 1):
        known = [turn for turn in found if turn.days <= number]
        assert turns(days[:number], DROP, limit_of(0.1), known) == known
    softer = [DayShare(200, 180)] * 30 + [DayShare(200, 176)] * 8
    assert turns(softer, DROP, limit_of(0.1), [Turn(36, True)]) == [Turn(36, True)]


@given(st.lists(st.tuples(st.floats(0.5, 1e6), st.floats(0, 1)), max_size=40))
def test_any_days_give_turns_that_alternate(days: list[tuple[float, float]]) -> None:
    found = turns([DayShare(units, units * share) for units, share in days], DROP, limit_of(0.3))
    assert [turn.down for turn in found] == [number % 2 == 0 for number in range(len(found))]
    assert all(lasting_drop.WEEK < turn.days <= len(days) for turn in found)
