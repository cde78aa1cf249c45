"""The live golden set against its floor and against an earlier evaluation."""

import pytest

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import share_of
from ftassets.domain.monitoring.golden import above_floor, regression

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


@pytest.mark.parametrize(
    ("right", "n", "verdict", "doubt"),
    [(85, 100, PASS, True), (84, 100, FAIL, True), (100, 100, PASS, False), (10, 100, FAIL, False), (0, 0, NOT_ENOUGH, False)],
)
def test_the_floor_is_held_against_the_estimate_and_the_sentence_says_when_the_interval_leaves_a_doubt(
    right: int, n: int, verdict: Verdict, doubt: bool
) -> None:
    finding = above_floor(share_of(right, n), 0.85)
    assert finding.verdict is verdict
    assert ("the interval has the floor in it" in finding.sentence) is doubt


def rows(right: int, wrong: int) -> dict[str, bool]:
    return {str(i): i < right for i in range(right + wrong)}


def test_rows_that_were_right_and_are_wrong_now_are_a_regression() -> None:
    assert regression("golden", rows(80, 20), rows(90, 10)).verdict is FAIL  # 10 to 0: p = 2^-10
    assert regression("golden", rows(84, 16), rows(90, 10)).verdict is PASS  # 6 to 0: p = 0.016
    assert regression("golden", rows(95, 5), rows(80, 20)).verdict is PASS


def test_rows_of_one_side_only_do_not_count_and_too_few_are_no_verdict() -> None:
    assert regression("golden", rows(0, 6), rows(6, 0)).verdict is NOT_ENOUGH
    assert regression("golden", rows(0, 7), rows(7, 0)).verdict is FAIL
    other = {f"x{i}": False for i in range(50)}
    assert regression("golden", other, rows(50, 0)).verdict is NOT_ENOUGH
