"""What became of each version, by the journal."""

from typing import Any

from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.release.released_versions import Estimate, Released, VersionHistory, history, table
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition
from ftassets.domain.spending.overview import VersionCost
from ftassets.domain.spending.served import ServedDay

A, B = "a" * 64, "b" * 64


def move(number: int, at: float, action: str, **state: Any) -> Transition:
    return Transition(number, at, "support", action, "cli", "why", EndpointState(**state))


JOURNAL = [
    move(1, 100.0, "start", production=A),
    move(4, 200.0, "start", production=A, candidate=B, weight=20),
    move(5, 250.0, "rollback", production=A),
    move(6, 300.0, "start", production=A, candidate=B, weight=20),
    move(7, 400.0, "promote", production=B, standby=A),
    move(9, 500.0, "rollback", production=A, rejected=(B,)),
]


def found() -> dict[str, VersionHistory]:
    score = {"golden": Estimate(value=0.85, low=0.6, high=0.96)}
    released = [Released(version=B, at=150.0, report="r", scores=score), Released(version=A, at=50.0)]
    costs = [VersionCost(version, ServedDay(answers=answers, failed=1), 1.0, 2.0, 3.0, 0.5) for version, answers in ((A, 75), (B, 25))]
    latest = {
        "quality_report": LatestReport(at=1.0, version=B, verdict="PASS"),
        "drift_report": LatestReport(at=1.0, version=A, verdict="ALARM"),
    }
    made = history(released, JOURNAL, {5}, costs, latest, 600.0)
    assert [each.released.version for each in made] == [A, B], "in the order of their releases"
    return {each.released.version: each for each in made}


def test_starts_promotions_rollbacks_and_incidents() -> None:
    made = found()
    assert [(each.starts, each.promotions, each.rollbacks, each.incidents) for each in made.values()] == [(1, 1, 0, ()), (2, 1, 2, (5,))]
    assert [(each.first_traffic, each.weight) for each in made.values()] == [(100.0, 100), (200.0, 0)]


def test_time_in_production_ends_with_a_rollback_and_goes_on_until_now() -> None:
    assert {version: each.in_production for version, each in found().items()} == {A: 300.0 + 100.0, B: 100.0}


def test_answers_costs_and_live_reports_are_those_of_the_version() -> None:
    made = found()
    assert [(each.answers, each.failed, each.share, each.usd) for each in made.values()] == [(75, 1, 0.75, 3.0), (25, 1, 0.25, 3.0)]
    assert [list(each.live) for each in made.values()] == [["drift_report"], ["quality_report"]]


def test_a_version_that_never_served() -> None:
    [made] = history([Released(version=A, at=0.0)], [], (), [], {}, 600.0)
    assert (made.starts, made.in_production, made.share, made.first_traffic) == (0, 0.0, None, None)


def test_the_table_has_a_line_a_version() -> None:
    head, lines = table(list(found().values()), "UTC")
    assert head[2] == "exact match: golden"
    assert [len(line) for line in lines] == [len(head)] * 2
    assert lines[1] == [
        "b" * 12, "1970-01-01 00:02", "0.850 (0.600 to 0.960)", "100 s", "0 %", "2 started, 1 promoted, 2 rolled back, notes 5",
        "25 (25%), 500.0000 USD per 1,000", "quality_report PASS",
    ]  # fmt: skip
    assert lines[0][2] == "-"
