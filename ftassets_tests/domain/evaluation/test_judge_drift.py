"""A judge that has become another is noticed, and one that has not is rarely called so."""

import numpy as np
import pytest

from ftassets.domain.evaluation.judge_drift import RISK, Rejudged, changed


def reports(rng: np.random.Generator, noise: float, accuracy: float, checks: int) -> bool:
    """Whether a judge that does not change is called changed in any of so many checks of 40 pairs."""

    def choices() -> np.ndarray:
        return np.where(rng.random(40) < noise, rng.integers(-1, 2, 40), usual)

    people = rng.integers(-1, 2, 40)
    usual = np.where(rng.random(40) < accuracy, people, -people)
    first, repeated = choices(), choices()
    for check in range(1, checks + 1):
        pairs = [Rejudged(*map(int, each)) for each in zip(people, first, repeated, choices(), strict=True)]  # type: ignore[arg-type]
        if changed(pairs, check):
            return True
    return False


@pytest.mark.parametrize(("noise", "accuracy"), [(0.0, 0.8), (0.3, 0.8), (0.8, 0.6)])
def test_a_judge_that_does_not_change_is_rarely_called_changed_in_a_year_of_reports(noise: float, accuracy: float) -> None:
    rng = np.random.default_rng(0)
    alarms = sum(reports(rng, noise, accuracy, 26) for _ in range(200))
    assert alarms / 200 <= RISK + 3 * (RISK * (1 - RISK) / 200) ** 0.5


def of(number: int, right_now: int, other_now: int = 0) -> list[Rejudged]:
    """Pairs on which a judge without noise was right; now it is right on some, and prefers another wrong answer on none."""
    return [Rejudged(1, 1, 1, 1 if n < right_now else -1) for n in range(number)]


def test_less_agreement_and_other_choices_are_noticed_sooner_the_fewer_checks_there_were() -> None:
    assert changed(of(30, 30), 1) is None
    found = changed(of(30, 20), 1)
    assert found is not None
    assert found.startswith("it agrees with people on 20 of 30 labelled pairs, and did on 30 (p = ")
    assert changed(of(30, 24), 1) is None
    assert changed(of(30, 20), 20) is None
    assert changed(of(60, 40), 20) is not None


def test_other_choices_that_agree_as_often_are_noticed() -> None:
    pairs = [Rejudged(1, 1, 1, -1)] * 10 + [Rejudged(1, -1, -1, 1)] * 10 + [Rejudged(1, 1, 1, 1)] * 20
    found = changed(pairs, 1)
    assert found is not None
    assert found.startswith("20 of 40 choices on labelled pairs differ from its first ones, 0 when it was asked twice")
    noisy = [Rejudged(1, 1, -1, -1)] * 10 + [Rejudged(1, -1, 1, 1)] * 10 + [Rejudged(1, 1, 1, 1)] * 20
    assert changed(noisy, 1) is None


def test_without_pairs_nothing_is_known() -> None:
    assert changed([], 1) is None
