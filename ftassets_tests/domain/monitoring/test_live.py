import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.evaluation.sampling import fixed_sample, reservoir
from ftassets.domain.gates.result import Verdict
from ftassets.domain.monitoring.estimate import Estimate, mean_of, share_of
from ftassets.domain.monitoring.finding import Finding, overall
from ftassets.domain.monitoring.golden import above_floor, regression
from ftassets.domain.monitoring.latest import LatestReport, read_latest
from ftassets.domain.monitoring.quality import QualityPoint, fallen_most, follow

PASS, FAIL, NOT_ENOUGH = Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA


# samples


@given(st.sets(st.text(max_size=8), max_size=40), st.integers(1, 20), st.text(max_size=8))
def test_a_fixed_sample_is_the_same_whatever_the_order_and_a_new_row_moves_out_one_at_most(ids: set[str], size: int, new: str) -> None:
    sample = fixed_sample(ids, size)
    assert len(sample) == min(size, len(ids))
    assert sample == fixed_sample(sorted(ids, reverse=True), size)
    assert len(set(sample) - set(fixed_sample(ids | {new}, size))) <= 1


def test_another_seed_is_another_sample() -> None:
    ids = [str(i) for i in range(100)]
    assert fixed_sample(ids, 10, seed=0) != fixed_sample(ids, 10, seed=1)


@given(st.lists(st.integers(), max_size=60), st.integers(1, 20), st.integers(0, 5))
def test_a_reservoir_holds_distinct_places_of_the_stream(items: list[int], size: int, seed: int) -> None:
    sample, seen = reservoir(enumerate(items), size, seed)
    assert seen == len(items)
    assert len(sample) == len(set(sample)) == min(size, len(items))
    assert set(sample) <= set(enumerate(items))
    assert reservoir(enumerate(items), size, seed)[0] == sample


def test_each_place_of_the_stream_is_as_likely() -> None:
    counts = np.zeros(20)
    for seed in range(4000):
        counts[reservoir(range(20), 5, seed)[0]] += 1
    assert np.abs(counts / 4000 - 0.25).max() < 4.5 * math.sqrt(0.25 * 0.75 / 4000)


# estimates


def test_the_interval_of_a_share_is_wilson_s() -> None:
    estimate = share_of(8, 10)
    assert (estimate.value, round(estimate.low, 4), round(estimate.high, 4)) == (0.8, 0.4902, 0.9433)  # Newcombe 1998, as computed by hand
    assert (share_of(0, 0).low, share_of(0, 0).high) == (0.0, 1.0)


def test_the_mean_of_a_whole_population_is_certain_and_ten_equal_scores_of_many_are_not() -> None:
    assert mean_of([0.5, 1.0], 2).low == mean_of([0.5, 1.0], 2).high == 0.75
    estimate = mean_of([1.0] * 10, 1000)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low < 0.9


@pytest.mark.parametrize(("values", "population"), [([], 0), ([], 5), ([0.1, 0.2], 1)])
def test_no_sample_or_one_larger_than_its_population_is_refused(values: list[float], population: int) -> None:
    with pytest.raises(ValueError, match="sample of"):
        mean_of(values, population)


@pytest.mark.parametrize("weights", [(0.02, 0.03, 0.1, 0.25, 0.6), (0.5, 0, 0, 0, 0.5), (0.0, 0.0, 0.02, 0.03, 0.95)])
@pytest.mark.parametrize("population", [60, 2000])
def test_the_interval_covers_the_population_s_mean_as_often_as_it_says(weights: tuple[float, ...], population: int) -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        scores = rng.choice([0, 0.25, 0.5, 0.75, 1], population, p=weights)
        estimate = mean_of([float(s) for s in rng.choice(scores, 40, replace=False)], population)
        covered += estimate.low - 1e-9 <= scores.mean() <= estimate.high + 1e-9
    assert covered / 400 > 0.92


# golden rows


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


def test_any_failure_is_the_verdict_and_no_finding_is_none() -> None:
    assert overall([Finding(PASS, ""), Finding(FAIL, ""), Finding(NOT_ENOUGH, "")]) is FAIL
    assert overall([Finding(PASS, ""), Finding(NOT_ENOUGH, "")]) is PASS
    assert overall([Finding(NOT_ENOUGH, "")]) is overall([]) is NOT_ENOUGH


# quality


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


def test_what_is_no_file_of_reports_has_none() -> None:
    report = LatestReport(at=1.0, version="v", verdict="PASS", values={"a": 1.0})
    assert read_latest(b'{"x":' + report.model_dump_json().encode() + b"}") == {"x": report}
    for broken in (b"", b"{", b"[]", b'{"x": {"at": 1}}', b'{"x": {"at": "NaN", "version": null, "verdict": ""}}'):
        assert read_latest(broken) == {}
