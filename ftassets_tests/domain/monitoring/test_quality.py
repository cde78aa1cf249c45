"""When a fall of quality is sustained, and when it may be chance."""

import numpy as np
import pytest
from scipy.stats import binom

from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring import quality
from ftassets.domain.monitoring.estimate import Estimate
from ftassets.domain.monitoring.quality import QualityPoint, fallen_most, follow

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


def series(*values: float, n: int = 100, wanted: int = 200, drop: float = 0.05) -> tuple[list[QualityPoint], list[Verdict]]:
    """Reports one after the other, each of n answers."""
    reports: list[QualityPoint] = []
    verdicts = []
    for value in values:
        measured, finding = follow("judged", reports, Estimate(value, value, value, n), wanted, drop)
        reports.append(measured)
        verdicts.append(finding.verdict)
    return reports, verdicts


def test_the_first_answers_are_the_baseline_and_nothing_is_judged_by_itself() -> None:
    reports, verdicts = series(0.8, 0.9, 0.9)
    assert [r.part for r in reports] == [True, True, False]
    assert reports[-1].baseline == pytest.approx(0.85)
    assert reports[-1].baseline_n == 200
    assert verdicts == [NOT_ENOUGH] * 3


def test_a_drop_is_sustained_after_three_reports_in_a_row() -> None:
    _, verdicts = series(0.9, 0.9, 0.8, 0.8, 0.8)
    assert verdicts == [NOT_ENOUGH, NOT_ENOUGH, NOT_ENOUGH, NOT_ENOUGH, FAIL]


def test_one_bad_report_among_good_ones_is_no_sustained_drop() -> None:
    _, verdicts = series(0.9, 0.9, 0.9, 0.9, 0.3, 0.9, 0.9, 0.9)
    assert FAIL not in verdicts[:4]
    assert verdicts[-1] is PASS


def test_a_drop_that_ends_stops_failing_when_the_rolling_mean_is_back() -> None:
    _, verdicts = series(0.9, 0.9, *[0.7] * 5, *[0.9] * 8)
    assert verdicts[6] is FAIL
    assert verdicts[-1] is PASS


def test_a_drop_within_the_allowance_passes() -> None:
    assert series(0.9, 0.9, *[0.86] * 6)[1][-1] is PASS
    assert series(0.9, 0.9, *[0.84] * 6, n=1000, wanted=2000)[1][-1] is FAIL


def test_too_few_answers_for_a_rolling_mean_are_not_enough_data() -> None:
    reports, verdicts = series(0.9, *[0.1] * 4, n=10, wanted=10)
    assert reports[-1].rolling is not None  # a loop that looks at few answers needs no more than those
    assert verdicts[-1] is FAIL
    reports, verdicts = series(*[0.9] * 20, *[0.1] * 6, n=10, wanted=200)
    assert (reports[-1].rolling, verdicts[-1]) == (pytest.approx(0.1), NOT_ENOUGH)
    assert [r.rolling is None for r in reports[20:]] == [True] * 4 + [False] * 2


def test_a_slow_fall_does_not_take_the_baseline_with_it() -> None:
    _, verdicts = series(*np.linspace(0.9, 0.7, 40).tolist())
    assert verdicts[-1] is FAIL


@pytest.mark.parametrize("n", [20, 200])
def test_a_steady_quality_rarely_alerts_in_a_quarter_and_a_fall_by_ten_points_is_found(n: int) -> None:
    rng = np.random.default_rng(1)

    def shares(share: float, reports: int) -> list[float]:
        return (rng.binomial(n, share, reports) / n).tolist()

    assert sum(FAIL in series(*shares(0.9, 91), n=n)[1] for _ in range(60)) <= (12 if n == 20 else 3)
    assert sum(FAIL in series(*shares(0.9, 17), *shares(0.8, 30), n=n)[1] for _ in range(60)) >= 48


def test_a_fall_that_chance_may_explain_is_not_enough_data() -> None:
    assert series(0.9, *[0.83] * 4, n=20, wanted=20)[1][-1] is NOT_ENOUGH
    assert series(0.9, *[0.83] * 4, n=2000, wanted=2000)[1][-1] is FAIL


def test_the_measure_that_fell_most_is_the_headline() -> None:
    fell, held = series(0.9, 0.9, *[0.5] * 4)[0][-1], series(0.9, 0.9, *[0.9] * 4)[0][-1]
    young = series(0.9)[0][-1]
    assert fallen_most({"held": held, "fell": fell, "young": young}) == "fell"
    assert fallen_most({"young": young}) is None


@pytest.mark.parametrize(("n", "share"), [(50, 0.9), (50, 0.95), (60, 0.8)])
def test_two_equal_shares_are_rarely_called_a_fall_by_more_than_chance(n: int, share: float) -> None:
    falls = [(before, after) for before in range(201) for after in range(n + 1) if before / 200 - after / n > 0.02]
    chances = [quality._chance((before / 200, 200), (after / n, n)) for before, after in falls]
    called = sum(
        binom.pmf(before, 200, share) * binom.pmf(after, n, share)
        for (before, after), chance in zip(falls, chances, strict=True)
        if chance <= quality.CHANCE
    )
    assert called <= quality.CHANCE
