"""What monitors notice with a volume: simulated with their decisions, the golden set against exact sums."""

import numpy as np
import pytest
from scipy.stats import binom

from ftassets.config.loop import Drift
from ftassets.domain.drift import build_reference
from ftassets.domain.monitoring.golden import floor_risk, regression_risk
from ftassets.domain.monitoring.lasting_drop import DayShare, limit_of, turns
from ftassets.domain.monitoring.planning import (
    AFTER,
    DROPS,
    changes,
    daily_units,
    drift_plan,
    golden_plans,
    good_of,
    quality_plan,
)
from ftassets.domain.monitoring.quality import FALSE_TICKETS
from ftassets.testing.releases import loop_config
from ftassets_tests.domain.drift.topics import EVEN, queries


def days(plan: object) -> list[float]:
    return [each.days or np.inf for each in plan.noticed]  # type: ignore[attr-defined]


def test_more_users_and_larger_drops_are_noticed_sooner_and_false_alerts_keep_the_budget() -> None:
    few, many = (quality_plan("judged", users, 0.9, 0.05, 4) for users in (50, 400))
    assert days(many) == sorted(days(many), reverse=True)
    assert all(more <= less for more, less in zip(days(many), days(few), strict=True))
    assert days(many)[2] <= 6
    assert days(many)[1] <= 14
    assert max(few.false_alerts_a_quarter, many.false_alerts_a_quarter) <= FALSE_TICKETS / 4 * 91 / 365 + 0.02


def test_what_waits_for_feedback_is_noticed_so_much_later() -> None:
    plan, late = quality_plan("not_disliked", 200, 0.9, 0.05, 4), quality_plan("not_disliked", 200, 0.9, 0.05, 4, age=5 * 86_400.0)
    assert days(late) == [each + 5 for each in days(plan)]
    assert "feedback counts up to 5.0 d after an answer" in late.sentence
    assert late.false_alerts_a_quarter == plan.false_alerts_a_quarter


def test_so_few_users_that_there_is_no_baseline_notice_nothing() -> None:
    plan = quality_plan("not_disliked", 0.02, 0.9, 0.05, 4)
    assert days(plan) == [np.inf] * 3
    assert plan.sentence == "0.02 users a day are too few to follow"
    assert min(days(quality_plan("not_disliked", 0.5, 0.9, 0.05, 4))) > 30, "a few a month say little for months"


def test_series_side_by_side_turn_on_the_days_that_the_report_s_own_function_finds() -> None:
    rng, limit = np.random.default_rng(3), limit_of(0.3 / 4)
    units = daily_units(rng, 6.0, (6, 120))
    levels = np.full(units.shape, 0.9)
    levels[:, 50:90] -= 0.4
    good = good_of(rng, units, levels)
    for row, found in enumerate(changes(units, good, 0.05, limit)):
        own = turns([DayShare(n, k) for n, k in zip(units[row], good[row], strict=True)], 0.05, limit)
        assert found == [turn.days for turn in own]
        assert found


def test_days_without_anybody_are_left_out_and_the_others_have_the_mean_they_should() -> None:
    units = daily_units(np.random.default_rng(0), 0.5, (50, 400))
    assert units.min() == 1
    assert units.mean() == pytest.approx(0.5 / (1 - np.exp(-0.5)), rel=0.03)


def test_the_golden_set_s_plan_is_the_exact_chance_of_a_report_to_prove_it() -> None:
    loop = loop_config(monitors={"golden_floor": 0.85, "sample": 200})
    floor, regression = golden_plans(loop, 400)
    assert floor.per_day == 200
    proves = [k for k in range(201) if binom.cdf(k, 200, 0.85) < floor_risk(1)]
    chances = [binom.cdf(max(proves), 200, 0.85 - drop) for drop in DROPS]
    assert [each.days for each in floor.noticed] == [1.0 if chance >= 0.5 else None for chance in chances]
    assert ", ".join(f"{chance:.0%}" for chance in chances) in floor.sentence
    least = next(b for b in range(201) if 0.5**b < regression_risk(1))
    assert f"it takes {least}" in regression.sentence
    assert [each.days for each in regression.noticed] == [1.0 if binom.sf(least - 1, 200, drop) >= 0.5 else None for drop in DROPS]
    assert golden_plans(loop, 0) == []
    assert [each.days for each in golden_plans(loop, 5)[1].noticed] == [None] * 3


def test_drift_alarms_keep_their_budget_whatever_the_schedule_and_need_queries_and_a_reference() -> None:
    for every, window in (("0 6 * * *", "24h"), ("0 * * * *", "24h"), ("0 6 * * 1", "7d")):
        plan = drift_plan(Drift(every=every, window=window), 2000, None)
        assert 0.05 < plan.false_alerts_a_quarter < 0.35
        assert plan.noticed == ()
    assert "a window has 50 queries, and 100 are needed" in drift_plan(Drift(), 50, None).sentence


def test_with_a_reference_a_plan_says_when_new_queries_are_noticed() -> None:
    reference = build_reference(queries(1200, EVEN, 1), "tiny", rate=0.01)
    plan = drift_plan(Drift(sample=200), 2000, reference)
    assert days(plan) == sorted(days(plan), reverse=True)
    assert days(plan)[2] <= AFTER
    rare = drift_plan(Drift(sample=200, window="7d"), 2000, reference)
    assert days(rare)[2] >= 7 * days(plan)[2] * 0.9, "windows of a week follow each other once a week"
