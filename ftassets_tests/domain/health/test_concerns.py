"""Each rule on what concerns a person, at its limit; how they are observed is in automation/test_health.py."""

from typing import Any

import pytest

from ftassets.domain.health.concerns import CANARY, PAUSED, SILENT, concerns
from ftassets.domain.health.health import Answers, Automation, Daemon, Failures, Health, NewestRelease, Tick, Traffic, Trigger
from ftassets.domain.health.subjects import SUBJECTS
from ftassets_tests import ROOT

NOW, P, C = 1_800_000_000.0, "a" * 64, "b" * 64
DAY = 86400.0


def keys(**known: Any) -> list[tuple[str, str]]:
    health = Health(**{"at": NOW, "mode": "propose", "production": P, "since": NOW - 100 * DAY, **known})
    return [(each.key, each.severity) for each in concerns(health, 3 * DAY)]


def trigger(since: float | None) -> Trigger:
    return Trigger(
        at=NOW, action="WAIT", trigger="drift", cause="few_labels", reason="5 of 200", new_labels=5, labels_per_day=None,
        retrains_in_quarter=0, max_retrains=None, schedule_due_at=None, since=since,
    )  # fmt: skip


def answers(recent: tuple[int, int], longer: tuple[int, int] = (0, 0)) -> Answers:
    """So many of so many requests failed."""
    return Answers(
        recent=Failures(seconds=600, failed=recent[0], requests=recent[1]),
        longer=Failures(seconds=7200, failed=longer[0], requests=longer[1]),
    )


def daemon(age: float | None, error: str | None = None) -> Automation:
    return Automation(daemons=(Daemon(name="SENSOR", at=None if age is None else NOW - age, error=error),))


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, []),
        ({"gateway": "gone"}, [("gateway-absent", "page")]),
        ({"unrecorded": "disk full"}, [("not-recorded", "page")]),
        ({"answers": Answers(silent="its files are damaged")}, [("version-silent", "page")]),
        ({"answers": Answers(silent="starting"), "production": None}, []),
        ({"answers": answers((9, 9), (9, 9))}, []),
        ({"answers": answers((10, 10))}, [("many-errors", "page")]),
        ({"answers": answers((10, 200))}, []),
        ({"answers": answers((2, 2), (10, 199))}, [("many-errors", "page")]),
        ({"answers": answers((0, 2), (10, 100))}, []),
        ({"automation": daemon(SILENT)}, []),
        ({"automation": daemon(SILENT + 1)}, [("automation-stopped", "page")]),
        ({"automation": daemon(None)}, [("automation-stopped", "page")]),
        ({"automation": daemon(1, "ValueError")}, [("automation-fails", "ticket")]),
        ({"automation": Automation(ticks=(Tick(name="x__retrain", at=NOW, error="boom"),))}, [("sensor-fails:x__retrain", "ticket")]),
        ({"release": NewestRelease(version=C, at=NOW)}, []),
        ({"release": NewestRelease(version=C, at=NOW, cause="approval")}, [(f"release-waits:approval:{C[:12]}", "ticket")]),
        ({"release": NewestRelease(version=C, at=NOW, cause="rolled_back")}, [(f"release-rolled-back:{C[:12]}", "info")]),
        ({"trigger": trigger(None)}, []),
        ({"trigger": trigger(NOW - 3 * DAY + 1)}, []),
        ({"trigger": trigger(NOW - 3 * DAY)}, [("retrain-waits", "ticket")]),
        ({"candidate": C, "since": NOW - CANARY}, []),
        ({"candidate": C, "since": NOW - CANARY - 1}, [("canary-stuck", "ticket")]),
        ({"paused": "audit", "paused_since": NOW - PAUSED}, []),
        ({"paused": "audit", "paused_since": NOW - PAUSED - 1}, [("loop-paused", "info")]),
        ({"paused": "audit"}, []),
        ({"traffic": Traffic(last_at=NOW - 30 * DAY)}, []),
        ({"traffic": Traffic(last_at=NOW - 3600, pauses=dict.fromkeys(range(8), 60.0))}, []),
        ({"traffic": Traffic(last_at=NOW - 3601, pauses=dict.fromkeys(range(8), 60.0))}, [("traffic-stopped", "ticket")]),
        ({"traffic": Traffic(last_at=NOW - 3601, pauses=dict.fromkeys(range(8), 7200.0))}, []),
        ({"traffic": Traffic(last_at=NOW - 3601, pauses=dict.fromkeys(range(7), 60.0))}, []),
        ({"production": None, "traffic": Traffic(last_at=NOW - 3601, pauses=dict.fromkeys(range(8), 60.0))}, []),
    ],
)
def test_each_rule_at_its_limit(known: dict[str, Any], found: list[tuple[str, str]]) -> None:
    assert keys(**known) == found


def test_pages_come_first() -> None:
    found = keys(gateway="gone", paused="audit", paused_since=NOW - 30 * DAY, candidate=C, since=NOW - 30 * DAY)
    assert [severity for _, severity in found] == ["page", "ticket", "info"]


def test_each_subject_has_a_section_of_the_runbook() -> None:
    sections = {
        line[3:].lower().replace(" ", "-") for line in (ROOT / "docs/runbook.md").read_text().splitlines() if line.startswith("## ")
    }
    assert sections >= SUBJECTS.keys()


def test_traffic_that_stopped_is_a_concern_until_it_is_back() -> None:
    traffic, since = Traffic(), NOW - 20 * DAY
    for hour in range(20 * 24):
        traffic = traffic.after(since + hour * 3600, since + hour * 3600 - 60, since + hour * 3600 + 60)
    for hour in range(40 * 24):
        now = NOW + 2 * 3600 + hour * 3600
        traffic = traffic.after(NOW - 3600, now - 60, now)
        health = Health(at=now, mode="auto", production=P, since=since, traffic=traffic)
        assert [each.key for each in concerns(health, DAY)] == ["traffic-stopped"], hour / 24


def test_rows_that_are_imported_make_no_pause() -> None:
    known = Traffic(last_at=NOW - 9 * DAY)
    assert known.after(NOW - DAY, NOW - 60, NOW).pauses == {}


def test_a_pause_of_traffic_over_a_time_without_automation_is_not_known() -> None:
    known = Traffic(last_at=NOW)
    assert known.after(NOW + 60, NOW + 30, NOW + 61).pauses == {int(NOW // DAY): 60.0}
    assert known.after(NOW + 7200, NOW, NOW + 7201) == Traffic(last_at=NOW + 7200)
    assert known.after(None, NOW, NOW + 60) == known
    old = Traffic(last_at=NOW, pauses={int(NOW // DAY) - 14: 9.0, int(NOW // DAY) - 13: 8.0})
    assert set(old.after(NOW + 1, NOW, NOW + 2).pauses) == {int(NOW // DAY) - 13, int(NOW // DAY)}
