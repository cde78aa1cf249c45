"""What drift reports will find at a loop's window."""

import json
from math import inf

from ftassets.config.loop import Drift
from ftassets.domain.drift import Reference, build_reference, power
from ftassets.domain.drift.budget import evidence_limit
from ftassets.domain.drift.planning import DRAWS, OVER, RUNS, STAYING, UNSEEN, DriftPlan, OverWindows, plan_drift
from ftassets.domain.drift.sensitivity import Power, found_over_windows
from ftassets_tests.domain.drift.topics import EVEN, queries

RATE = 0.01


def test_a_plan_is_for_the_windows_that_traffic_brings(reference: Reference) -> None:
    policy = Drift(window="24h", sample=200, min_sample=50)
    whole, half = plan_drift(reference, policy, RATE), plan_drift(reference, policy, RATE, per_day=100)
    assert (whole.queries, half.queries) == (200, 100)
    assert [p.unseen_share for p in whole.powers] == list(UNSEEN)
    assert whole.powers[1] == power(reference, 200, RATE, UNSEEN[1], policy.consecutive, draws=DRAWS)
    assert (half.smallest or 1.0) >= (whole.smallest or 1.0)
    assert f"of new topics is seen in 80% of windows of {whole.queries} queries" in whole.sentences[0]
    few = plan_drift(reference, policy, RATE, per_day=40)
    assert (few.queries, few.powers) == (200, ())
    assert "a window of 24 h has about 40 queries, fewer than min_sample 50" in few.sentences[0]


def test_a_reference_that_is_too_small_says_so() -> None:
    small = plan_drift(build_reference(queries(15, EVEN, 1), "model:1"), Drift(), RATE)
    assert small.powers == ()
    assert "is not known: power needs two clusters or more" in small.sentences[0]


def test_a_plan_is_plain_json_also_where_an_alarm_never_comes() -> None:
    plan = DriftPlan(100, (Power(100, 0.05, 0.0, inf), Power(100, 0.25, 0.5, 6.0)), 0.5, ("said",), (OverWindows(0.05, 0.7, 10.0),))
    assert json.loads(json.dumps(plan.as_json, allow_nan=False)) == {
        "queries": 100,
        "powers": [
            {"unseen_share": 0.05, "probability": 0.0, "reports": None},
            {"unseen_share": 0.25, "probability": 0.5, "reports": 6.0},
        ],
        "smallest_share": 0.5,
        "over_windows": [{"unseen_share": 0.05, "probability": 0.7, "days": 10.0}],
        "sentences": ["said"],
    }


def test_a_plan_says_what_adds_up_over_windows(reference: Reference) -> None:
    policy = Drift(window="12h", every="0 * * * *", sample=200, min_sample=50)
    plan = plan_drift(reference, policy, RATE)
    assert [(each.unseen_share, each.days) for each in plan.over_windows] == [(share, 5.0) for share in STAYING]
    limit = evidence_limit(policy.false_alarms, policy.budget_reports)
    assert plan.over_windows[1].probability == found_over_windows(reference, 200, limit, STAYING[1], OVER, RUNS)
    assert "5% new topics that stay are seen by what adds up over 10 windows, which take 5 days, with" in plan.sentences[-1]
    assert plan_drift(reference, Drift(window="14d", sample=200, min_sample=50), RATE).over_windows == (), "no such windows in a quarter"
    daily = plan_drift(reference, Drift(window="12h", sample=200, min_sample=50), RATE)
    assert daily.over_windows[0].days == 10.0, "a report a day"
