"""A judge that changes behind its name, told from answers that get worse."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from ftassets.domain.dataset.rows import Example
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.judge_anchors import ANCHORS, JudgeDrift, anchors, follow_judged, judge_drift, risk_of_a_report
from ftassets.domain.monitoring.quality import Day, Series

DAILY = risk_of_a_report(1)


def example(name: str, prompt: str, completion: str) -> Example:
    return Example.model_validate({"id": name, "messages": [{"role": "user", "content": prompt}], "completion": completion})


def scores(*values: int) -> dict[str, int]:
    return {f"a{n}": value for n, value in enumerate(values)}


def moved(lower: int, higher: int = 0, same: int = 60) -> tuple[dict[str, int], dict[str, int]]:
    """Scores at first and now, of which so many are one step lower or higher."""
    return scores(*[4] * (lower + higher + same)), scores(*[3] * lower, *[5] * higher, *[4] * same)


def test_anchors_are_rows_with_one_of_three_answers_and_the_same_each_time() -> None:
    golden = [example(f"g{n}", f"dim lamp {n}", f"answer number {n}") for n in range(200)]
    found = anchors(golden)
    assert len(found) == len({each.row.id for each in found}) == ANCHORS, "each row once"
    assert [each.id for each in anchors(golden[::-1])] == [each.id for each in found]
    right, half, wrong = (found[kind::3] for kind in range(3))
    assert all(each.answer == each.row.completion for each in right)
    assert all(each.answer == each.row.completion[: len(each.row.completion) // 2] for each in half)
    others = {row.completion for row in golden}
    assert all(each.answer in others - {each.row.completion} for each in wrong)
    changed = [row.model_copy(update={"completion": "another"}) if row.id == right[0].row.id else row for row in golden]
    assert right[0].id not in {each.id for each in anchors(changed)}


@pytest.mark.parametrize(("rows", "each"), [(40, 3), (60, 2), (39, 3), (41, 3)])
def test_a_small_golden_set_is_used_again_with_other_answers(rows: int, each: int) -> None:
    found = anchors([example(f"g{n}", f"dim lamp {n}", f"answer number {n}") for n in range(rows)])
    assert len(found) == min(ANCHORS, 3 * rows)
    assert max(Counter(anchor.row.id for anchor in found).values()) == each
    assert anchors([example("g", "dim", "an answer")]) == [], "there is no other row whose answer would be wrong"


@pytest.mark.parametrize(
    ("lower", "higher", "changed"),
    [(0, 0, False), (4, 0, False), (13, 0, False), (14, 0, True), (0, 14, True), (20, 8, False), (10, 8, False)],
)
def test_a_judge_has_changed_when_scores_move_one_way(lower: int, higher: int, changed: bool) -> None:
    found = judge_drift(*moved(lower, higher), DAILY)
    assert (found.lower, found.higher, found.changed) == (lower, higher, changed)
    assert f"scores {lower} lower and {higher} higher than at first" in found.sentence


def test_how_much_stricter_a_judge_may_be_is_of_anchors_that_can_be_lower_and_wider_for_few() -> None:
    steady = judge_drift(*moved(0, 0, 100), DAILY)
    assert steady.most == pytest.approx(1 - 0.05 ** (1 / 100)), "the rule of three"
    assert steady.most < judge_drift(*moved(0, 0, 10), DAILY).most < judge_drift(*moved(0, 0, 2), DAILY).most
    first, now = moved(20, 0, 80)
    assert judge_drift(first, now, DAILY).most > 0.05
    lowest = {f"low{n}": 1 for n in range(100)}
    assert judge_drift(first | lowest, now | lowest, DAILY).most == judge_drift(first, now, DAILY).most
    assert judge_drift(lowest, lowest, DAILY).most == 1.0, "of anchors that cannot be lower nothing is known"


@pytest.mark.parametrize(("n", "share", "steps"), [(120, 0.01, 4), (60, 0.02, 4), (30, 0.05, 4), (60, 0.05, 2), (60, 0.1, 1)])
def test_the_bound_holds_for_a_judge_that_scores_few_anchors_lower(n: int, share: float, steps: int) -> None:
    """Exact sums. Standard errors, which are small while no anchor has moved, missed it in up to 32 % at a stated 5 %."""
    missed = 0.0
    for some in range(n + 1):
        now = scores(*[5 - steps] * some, *[5] * (n - some))
        missed += binom.pmf(some, n, share) * (judge_drift(scores(*[5] * n), now, DAILY).most < share * steps / 4)
    assert missed <= 0.05


def followed(fall: float, drift: JudgeDrift | None) -> tuple[bool, Verdict]:
    """Whether a drop of the judged answers by so much is found after 30 good days, and the verdict."""
    days = [Day(day=f"2026-01-{n:02}", users=200, good=200 * (0.8 if n < 25 else 0.8 - fall)) for n in range(1, 32)]
    series, _, finding = follow_judged(Series(days=tuple(days)), 0.05, 0.05, 5, drift)
    assert series.asks_for_retrain <= series.dropped
    return series.dropped, finding.verdict


def test_a_drop_of_the_answers_is_told_from_one_of_the_judge() -> None:
    steady, stricter = judge_drift(*moved(0), DAILY), judge_drift(*moved(12), DAILY)
    assert not stricter.changed
    assert followed(0.2, None) == followed(0.2, steady) == (True, Verdict.FAIL)
    assert followed(0.06, stricter) == (False, Verdict.NOT_ENOUGH_DATA)
    assert followed(0.15, stricter) == (True, Verdict.FAIL), "a judge that is a little stricter does not explain that"
    assert followed(0.2, judge_drift({}, {}, DAILY)) == (True, Verdict.FAIL), "without anchors nothing is known of the judge"


def test_a_drop_that_was_told_stays_whatever_the_judge_does() -> None:
    days = [Day(day=f"2026-01-{n:02}", users=200, good=160.0 if n < 25 else 120.0) for n in range(1, 32)]
    told, _, _ = follow_judged(Series(days=tuple(days)), 0.05, None, 5, None)
    assert told.dropped
    again, _, finding = follow_judged(told, 0.05, None, 5, judge_drift(*moved(12), DAILY))
    assert (again.dropped, finding.verdict) == (True, Verdict.FAIL)


@pytest.mark.parametrize("reports_a_day", [1, 24])
def test_an_unchanged_judge_is_called_changed_in_a_stated_share_of_years(reports_a_day: int) -> None:
    """Exact sums over the anchors that differ, each either way with the same chance."""
    for differing in (20, 60):
        false = sum(
            binom.pmf(lower, differing, 0.5)
            for lower in range(differing + 1)
            if judge_drift(*moved(lower, differing - lower), risk_of_a_report(reports_a_day)).changed
        )
        assert 0 < 365 * reports_a_day * false <= 0.05


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5)), st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5)))
def test_only_anchors_of_both_times_count(first: dict[str, int], now: dict[str, int]) -> None:
    found = judge_drift(first, now, DAILY)
    assert found.n == len(first.keys() & now.keys())
    assert found.lower + found.higher <= found.n
