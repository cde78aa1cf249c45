"""The live golden set against its floor and against an earlier evaluation."""

import pytest
from scipy.stats import binom

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import share_of
from ftassets.domain.monitoring.golden import above_floor, regression, risk_of_a_look

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(
    ("right", "n", "verdict"),
    [(85, 100, NOT_ENOUGH), (84, 100, NOT_ENOUGH), (93, 100, PASS), (92, 100, NOT_ENOUGH), (77, 100, FAIL), (78, 100, NOT_ENOUGH)]
    + [(100, 100, PASS), (10, 100, FAIL), (0, 0, NOT_ENOUGH), (0, 1, NOT_ENOUGH), (1, 1, NOT_ENOUGH), (10, 12, NOT_ENOUGH)],
)
def test_the_floor_is_held_against_the_interval(right: int, n: int, verdict: Verdict) -> None:
    finding = above_floor(share_of(right, n), 0.85)
    assert finding.verdict is verdict
    assert ("the 95 % interval has the floor in it" in finding.sentence) is (verdict is NOT_ENOUGH and n > 0)
    assert finding.warns is (verdict is FAIL)


@pytest.mark.parametrize("n", [10, 20, 60, 200])
def test_a_version_that_is_exactly_at_the_floor_is_rarely_called_below_it(n: int) -> None:
    for verdict in (PASS, FAIL):
        called = sum(binom.pmf(k, n, 0.85) for k in range(n + 1) if above_floor(share_of(k, n), 0.85).verdict is verdict)
        assert called <= 0.025


def rows(right: int, wrong: int) -> dict[str, bool]:
    return {str(i): i < right for i in range(right + wrong)}


DAILY = risk_of_a_look(1)


def test_rows_that_were_right_and_are_wrong_now_are_a_regression() -> None:
    assert regression("golden", rows(76, 24), rows(90, 10), DAILY).verdict is FAIL  # 14 to 0: p = 2^-14
    assert regression("golden", rows(77, 23), rows(90, 10), DAILY).verdict is PASS  # 13 to 0
    assert regression("golden", rows(95, 5), rows(80, 20), DAILY).verdict is PASS


def test_rows_of_one_side_only_do_not_count_and_too_few_are_no_verdict() -> None:
    assert regression("golden", rows(0, 13), rows(13, 0), DAILY).verdict is NOT_ENOUGH
    assert regression("golden", rows(0, 14), rows(14, 0), DAILY).verdict is FAIL
    other = {f"x{i}": False for i in range(50)}
    assert regression("golden", other, rows(50, 0), DAILY).verdict is NOT_ENOUGH


@pytest.mark.parametrize("looks_a_day", [1, 24])
def test_sampled_answers_give_a_false_regression_in_a_stated_share_of_years(looks_a_day: int) -> None:
    """Both answers to a row of a share of .5 differ in half of the cases: exact sums over the rows that differ."""
    for differing in (20, 100):
        false = 0.0
        for worse in range(differing + 1):
            now = {str(i): i >= worse for i in range(differing)}
            before = {name: not right for name, right in now.items()}
            if regression("golden", now, before, risk_of_a_look(looks_a_day)).verdict is FAIL:
                false += binom.pmf(worse, differing, 0.5)
        assert 0 < 2 * 365 * looks_a_day * false <= 0.05
