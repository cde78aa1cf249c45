"""The live golden set against its floor and against an earlier evaluation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import share_of
from ftassets.domain.monitoring.finding import Finding
from ftassets.domain.monitoring.golden import (
    FLOOR_RISK,
    RECENT,
    Floor,
    Regression,
    at_floor,
    floor_p,
    floor_risk,
    regression,
    regression_risk,
    score_of,
)

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA
FLOOR = 0.85


def look(right: int, n: int, known: Floor = Floor(), own: tuple[int, int] | None = None, looks_a_day: float = 1) -> tuple[Floor, Finding]:
    risk = floor_risk(looks_a_day)
    return at_floor(share_of(right, n), right, FLOOR, risk, known, None if own is None else share_of(*own))


@pytest.mark.parametrize(
    ("right", "n", "verdict"),
    [(85, 100, NOT_ENOUGH), (84, 100, NOT_ENOUGH), (93, 100, PASS), (92, 100, NOT_ENOUGH), (71, 100, NOT_ENOUGH), (70, 100, FAIL)]
    + [(100, 100, PASS), (10, 100, FAIL), (0, 0, NOT_ENOUGH), (0, 1, NOT_ENOUGH), (1, 1, NOT_ENOUGH), (10, 12, NOT_ENOUGH)],
)
def test_a_first_look_is_held_against_the_floor(right: int, n: int, verdict: Verdict) -> None:
    now, finding = look(right, n)
    assert finding.verdict is verdict
    assert now.below is (verdict is FAIL)
    assert ("raise monitors.sample or add golden rows" in finding.sentence) is (verdict is NOT_ENOUGH and n > 4)


@pytest.mark.parametrize("looks_a_day", [1, 24])
@pytest.mark.parametrize("n", [10, 20, 60, 200])
def test_a_version_exactly_at_the_floor_is_called_below_it_in_a_stated_share_of_years(n: int, looks_a_day: int) -> None:
    """Exact sums: however the looks of a year hang together, the chances of single looks add up to more than that of any."""
    called = sum(binom.pmf(k, n, FLOOR) for k in range(n + 1) if look(k, n, looks_a_day=looks_a_day)[1].verdict is FAIL)
    assert 0 < 365 * looks_a_day * called <= FLOOR_RISK


def test_rows_that_can_never_prove_a_fall_say_so() -> None:
    assert look(0, 4)[1] == Finding(
        NOT_ENOUGH,
        "0.000 (0.000 to 0.602) of 4 golden rows right, floor 0.85; 4 rows cannot prove a share below the floor in a year of reports, "
        "not even if all are wrong: add golden rows",
        blocked=True,
    )
    assert look(0, 5)[1].verdict is FAIL


def test_below_the_floor_stays_until_a_look_proves_it_is_not_or_the_newest_looks_are_at_the_floor() -> None:
    below, _ = look(60, 100)
    for right in (84, 80, 84):
        below, finding = look(right, 100, below)
        assert finding.verdict is FAIL
    proved, finding = look(95, 100, below)
    assert (proved.below, finding.verdict) == (False, PASS)
    looks = 0
    while below.below:
        below, finding = look(86, 100, below)
        looks += 1
    assert looks == RECENT - 1, "looks of 84 and 80 have left, and one of 84 is still among the newest seven"
    assert finding.verdict is NOT_ENOUGH


def test_a_version_released_below_the_floor_is_known_as_such() -> None:
    now, finding = look(60, 100, own=(70, 100))
    assert now.as_released
    assert "0.700 of 100 in the version's own evaluation: the floor is higher than this version ever was" in finding.sentence
    now, finding = look(60, 100, own=(90, 100))
    assert not now.as_released
    assert "than this version ever was" not in finding.sentence
    assert not look(60, 100, own=(0, 0))[0].as_released, "an evaluation without these rows says nothing"


@pytest.mark.parametrize("share", [0.8, 0.82])
def test_a_version_between_is_no_page_after_page(share: float) -> None:
    """Sampled anew at each look, 200 rows: entered at most once a year on average."""
    rng, pages = np.random.default_rng(0), 0
    for right in np.array_split(rng.binomial(200, share, 20 * 365), 20):
        known = Floor()
        for each in right.tolist():
            before, (known, _) = known, look(each, 200, known)
            pages += known.below and not before.below
    assert pages <= 2 * 20


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_what_is_known_is_bounded_and_a_fail_is_what_is_below(counts: list[int]) -> None:
    known = Floor()
    for right in counts:
        before, (known, finding) = known, look(right, 50, known)
        assert len(known.recent) <= RECENT
        assert known.below is (finding.verdict is FAIL)
        assert known.below or not before.below or share_of(right, 50).low >= FLOOR or np.mean(known.recent) >= FLOOR - 1e-9
        assert floor_p(right, 50, FLOOR) >= floor_risk(1) or known.below


def rows(right: int, wrong: int) -> dict[str, bool]:
    return {str(i): i < right for i in range(right + wrong)}


DAILY = regression_risk(1)


def compared(now: dict[str, bool], before: dict[str, bool], risk: float = DAILY) -> Verdict:
    return regression("golden", now, before, risk)[1].verdict


def test_rows_that_were_right_and_are_wrong_now_are_a_regression() -> None:
    assert compared(rows(76, 24), rows(90, 10)) is FAIL  # 14 to 0: p = 2^-14
    assert compared(rows(77, 23), rows(90, 10)) is PASS  # 13 to 0
    assert compared(rows(95, 5), rows(80, 20)) is PASS


def test_rows_of_one_side_only_do_not_count_and_too_few_are_no_verdict() -> None:
    assert compared(rows(0, 13), rows(13, 0)) is NOT_ENOUGH
    assert compared(rows(0, 14), rows(14, 0)) is FAIL
    other = {f"x{i}": False for i in range(50)}
    assert compared(other, rows(50, 0)) is NOT_ENOUGH
    assert "0 rows in common with the version's own evaluation, at least 14 are needed" in regression("g", other, {}, DAILY)[1].sentence


def test_a_regression_is_over_when_so_many_looks_show_no_sign_of_it() -> None:
    before, known = rows(90, 10), Regression()
    for right, found in [(70, True), (86, True), (80, True), *[(88, True)] * (RECENT - 1), (88, False), (88, False)]:
        known, finding = regression("golden", rows(right, 100 - right), before, DAILY, known)
        assert (known.found, finding.verdict) == (found, FAIL if found else PASS)
    assert known == Regression()


@pytest.mark.parametrize("looks_a_day", [1, 24])
def test_sampled_answers_give_a_false_regression_in_a_stated_share_of_years(looks_a_day: int) -> None:
    """Both answers to a row of a share of .5 differ in half of the cases: exact sums over the rows that differ."""
    for differing in (20, 100):
        false = 0.0
        for worse in range(differing + 1):
            now = {str(i): i >= worse for i in range(differing)}
            before = {name: not right for name, right in now.items()}
            if compared(now, before, regression_risk(looks_a_day)) is FAIL:
                false += binom.pmf(worse, differing, 0.5)
        assert 0 < 2 * 365 * looks_a_day * false <= 0.05


def test_the_own_score_is_of_the_rows_that_were_evaluated() -> None:
    assert score_of(["a", "b", "c"], {"a": True, "b": False, "d": True}) == (1, 2)
    assert score_of(["a"], {}) == (0, 0)
