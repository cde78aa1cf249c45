"""The budget, checked against exact counts of runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from ftassets.domain.drift import alarm_rate, reports_until
from ftassets.domain.drift.budget import LEAST_EVIDENCE, RISK, WINDOWS_PART, evidence_limit


def runs_exceed(false_alarms: int, reports: int, alarm: float, consecutive: int) -> float:
    """Exact probability of more than `false_alarms` runs of `consecutive` alarms, counting anew after each."""
    state = np.zeros((false_alarms + 2, consecutive))  # runs so far (the last row: too many), alarms in a row
    state[0, 0] = 1.0
    for _ in range(reports):
        after = np.zeros_like(state)
        after[:, 0] = state.sum(axis=1) * (1 - alarm)
        after[:, 1:] = state[:, :-1] * alarm
        after[1:, 0] += state[:-1, -1] * alarm
        after[-1, 0] += state[-1, -1] * alarm
        state = after
    return float(state[-1].sum())


def test_alarm_rate_of_one_a_quarter() -> None:
    assert alarm_rate(1, 91, risk=0.05) == pytest.approx(0.0039, abs=5e-5)
    assert alarm_rate(1, 91) == pytest.approx(0.0024, abs=5e-5)


def test_two_in_a_row_allow_a_higher_rate_of_single_alarms() -> None:
    hourly = 91 * 24
    assert alarm_rate(1, hourly) == pytest.approx(0.21470 / hourly, rel=1e-3)
    assert alarm_rate(1, hourly, consecutive=2) == pytest.approx((0.21470 / hourly) ** 0.5, rel=0.01)
    assert alarm_rate(1, 91, 0.05, consecutive=2) == 0.05


@given(st.integers(0, 20), st.floats(100, 5000), st.sampled_from([1, 2]))
def test_windows_and_evidence_share_the_budget(false_alarms: int, reports: float, consecutive: int) -> None:
    rate = alarm_rate(false_alarms, reports, consecutive=consecutive, part=WINDOWS_PART)
    expected = reports / reports_until(rate, consecutive) + reports / evidence_limit(false_alarms, reports)
    assert poisson.sf(false_alarms, expected) <= RISK + 1e-6
    assert evidence_limit(false_alarms, reports) >= LEAST_EVIDENCE


@settings(deadline=None)
@given(st.integers(0, 20), st.floats(1, 5000))
def test_budget_is_overspent_with_the_stated_risk(false_alarms: int, reports: float) -> None:
    rate = alarm_rate(false_alarms, reports, risk=0.05)
    assert 0 < rate <= 0.05
    risk = poisson.sf(false_alarms, rate * max(reports, 1))
    assert risk <= 0.05 + 1e-9
    if rate < 0.05:
        assert risk == pytest.approx(0.05, abs=1e-6)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 5), st.integers(1, 1500), st.integers(1, 4))
def test_runs_of_alarms_stay_within_the_budget(false_alarms: int, reports: int, consecutive: int) -> None:
    rate = alarm_rate(false_alarms, reports, 0.05, consecutive)
    risk = runs_exceed(false_alarms, reports, rate, consecutive)
    assert risk <= 0.052  # Poisson understates a few reports' risk by a hair
    if rate < 0.05 and reports >= 200:
        assert risk == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(("alarm", "consecutive"), [(0.3, 1), (0.5, 2), (0.9, 3)])
def test_reports_until_a_run_as_simulated(alarm: float, consecutive: int) -> None:
    rng, waits = np.random.default_rng(0), []
    for _ in range(3000):
        reports = row = 0
        while row < consecutive:
            reports += 1
            row = row + 1 if rng.random() < alarm else 0
        waits.append(reports)
    assert np.mean(waits) == pytest.approx(reports_until(alarm, consecutive), rel=0.06)


def test_an_alarm_that_never_comes_is_waited_for_without_end() -> None:
    assert reports_until(0.0, 2) == float("inf")
