"""What `/metrics` shows of a loop besides its requests: the newest reports, as other processes write them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ftassets.backends.control.health import update_notices, write_health
from ftassets.backends.control.latest import record_latest
from ftassets.backends.control.pauses import pause
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.domain.health.health import Concern, Feedback, Health, Monitor, NewestRelease, Traffic, Trigger
from ftassets.domain.health.notices import Said
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.shadow_phase import paired
from ftassets.domain.traffic.exchange import Exchange
from ftassets.gateway.prometheus import Metrics
from ftassets.testing.releases import loop_config

P, C = "a" * 64, "b" * 64
LOOPS = {
    "voice": loop_config("voice", notify={"alertmanager": "http://127.0.0.1:9093"}, monitors={"every": "0 7 * * 1-5"}),
    "new": loop_config("new", automation=False),
}
STATES = {"voice": EndpointState(production=P, candidate=C, weight=20), "new": EndpointState()}
REPORTS = {
    "drift_report": LatestReport(
        at=5e8,
        version=P,
        verdict="ALARM",
        values={"novelty_mean": 0.3, "alarms_in_a_row": 2},
        limits={"novelty_mean": 0.2, "alarms_in_a_row": 2},
    ),
    "behaviour_report": LatestReport(at=6e8, version=P, verdict="PASS", values={"text_length": 0.1}, limits={"text_length": 0.2}),
    "quality_report": LatestReport(at=7e8, version=P, verdict="NOT ENOUGH DATA", values={"judged": 0.8}, limits={"judged": 0.9}),
    "live_golden_report": LatestReport(
        at=8e8, version=P, verdict="FAIL", values={"share": 0.5, "low": 0.4, "high": 0.6}, limits={"share": 0.85}
    ),
    "since_evaluation": LatestReport(at=8e8, version=P, verdict="PASS"),
}

STOPPED = Concern(subject="traffic-stopped", severity="ticket", text="no request for 3.0 d")
HEALTH = Health(
    at=9e8,
    mode="propose",
    production=P,
    monitors=(Monitor(name="drift_report", at=5e8, verdict="ALARM", version=P, unmeasured_since=5e8, every=86400, next_at=9.1e8),),
    release=NewestRelease(version=C, at=6e8, cause="approval", reason="it waits", command="ftassets approve voice"),
    trigger=Trigger(
        at=9e8, action="WAIT", trigger="drift", cause="few_labels", reason="5 of 200", new_labels=5, labels_per_day=0.5,
        retrains_in_quarter=1, max_retrains=None, schedule_due_at=None, since=8e8,
    ),
    traffic=Traffic(last_at=8.9e8, pauses=dict.fromkeys(range(8), 600.0)),
    feedback=Feedback(at=9e8, requests_per_day=100, feedback_per_day=4, corrections_per_day=1),
    concerns=(STOPPED,),
)  # fmt: skip


def populated(home: Home) -> Metrics:
    """Metrics of a gateway that has seen everything there is to count."""
    metrics = Metrics(control(home), LOOPS)
    metrics.observe(Exchange("1", "voice", P, "u", "p", "[]", "{}", 200, 1.0, 120.0, 40.0, 7, 3, 0.8))
    metrics.observe(Exchange("2", "voice", C, "u", "p", "[]", "", 502, 1.0, 20.0, None, None, None, 0.2))
    copied = Exchange("1", "voice", C, "u", "p", "[]", "{}", 200, 1.0, 130.0, 50.0, 7, 3, 0.0)
    metrics.copied(replace(paired(copied, copied, LOOPS["voice"].task.form), agrees=False))
    metrics.copy_dropped("voice", C, "busy")
    metrics.rejected(404)
    metrics.unrecorded(Exchange("3", "voice", P, "u", "p", "[]", "{}", 200, 1.0, 120.0, 40.0, 7, 3, 0.8))
    for name, report in REPORTS.items():
        record_latest(control(home), "voice", name, report)
    write_health(control(home), "voice", HEALTH)
    return metrics


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def samples(text: bytes) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            yield sample.name, sample.labels, sample.value


def test_shows_the_newest_reports_by_loop_and_version(home: Home) -> None:
    found = list(samples(populated(home).render(STATES)))
    by = {"loop": "voice", "version": P[:12]}
    for expected in (
        ("ftassets_production_info", by, 1.0),
        ("ftassets_paused", {"loop": "voice"}, 0.0),
        ("ftassets_paused", {"loop": "new"}, 0.0),
        ("ftassets_drift_value", {**by, "statistic": "novelty_mean"}, 0.3),
        ("ftassets_drift_threshold", {**by, "statistic": "novelty_mean"}, 0.2),
        ("ftassets_behaviour_value", {**by, "statistic": "text_length"}, 0.1),
        ("ftassets_quality_ratio", {**by, "measure": "judged"}, 0.8),
        ("ftassets_quality_baseline_ratio", {**by, "measure": "judged"}, 0.9),
        ("ftassets_live_golden_ratio", {**by, "estimate": "low"}, 0.4),
        ("ftassets_live_golden_floor_ratio", {**by, "estimate": "share"}, 0.85),
        ("ftassets_report_verdict", {**by, "report": "quality_report", "verdict": "NOT ENOUGH DATA"}, 1.0),
        ("ftassets_notified", {"loop": "voice"}, 1.0),
        ("ftassets_notified", {"loop": "new"}, 0.0),
        ("ftassets_report_interval_seconds", {"loop": "voice", "report": "quality_report"}, 3 * 86_400.0),
        ("ftassets_report_interval_seconds", {"loop": "voice", "report": "drift_report"}, 86_400.0),
        ("ftassets_report_timestamp_seconds", {"loop": "voice", "report": "drift_report"}, 5e8),
        ("ftassets_weight_percent", by, 80.0),
    ):
        assert expected in found
    assert {labels["loop"] for name, labels, _ in found if name == "ftassets_report_verdict"} == {"voice"}
    assert [labels["loop"] for name, labels, _ in found if name == "ftassets_production_info"] == ["voice"]
    intervals = {labels["loop"] for name, labels, _ in found if name == "ftassets_report_interval_seconds"}
    assert intervals == {"voice"}, "a loop whose reports are made by hand has no schedule that they can miss"


def test_counters_of_a_version_begin_at_0_so_that_its_first_event_is_an_increase(home: Home) -> None:
    found = list(samples(Metrics(control(home), LOOPS).render(STATES)))
    for version in (P, C):
        by = {"loop": "voice", "version": version[:12]}
        assert ("ftassets_unrecorded_total", by, 0.0) in found
        assert all(("ftassets_requests_total", {**by, "status": status}, 0.0) in found for status in ("200", "502", "503", "504"))


def test_counters_of_a_candidate_in_shadow_begin_at_0_too(home: Home) -> None:
    states = {"voice": EndpointState(production=P).start(C, 0, 60, 0)}
    found, by = list(samples(Metrics(control(home), LOOPS).render(states))), {"loop": "voice", "version": C[:12]}
    assert ("ftassets_shadow_copies_total", {**by, "status": "200"}, 0.0) in found
    assert ("ftassets_shadow_disagreements_total", by, 0.0) in found
    reasons = {labels["reason"] for name, labels, value in found if name == "ftassets_shadow_dropped_total" and value == 0}
    assert reasons == {"busy", "unavailable", "over", "not_recorded"}


def test_a_verdict_that_changed_leaves_nothing_of_the_old_one(home: Home) -> None:
    metrics = populated(home)
    metrics.render(STATES)
    record_latest(control(home), "voice", "drift_report", LatestReport(at=9e8, version=C, verdict="QUIET"))
    found = list(samples(metrics.render(STATES)))
    verdicts = [labels["verdict"] for name, labels, _ in found if name == "ftassets_report_verdict" and labels["report"] == "drift_report"]
    assert verdicts == ["QUIET"]
    assert not [name for name, _, _ in found if name == "ftassets_drift_value"]


def test_a_pause_shows_at_the_next_scrape(home: Home) -> None:
    metrics = Metrics(control(home), LOOPS)
    assert ("ftassets_paused", {"loop": "new"}, 0.0) in list(samples(metrics.render(STATES)))
    pause(control(home), "new", "audit", "anna", 1.0)
    assert ("ftassets_paused", {"loop": "new"}, 1.0) in list(samples(metrics.render(STATES)))


@pytest.mark.parametrize("content", [b"", b"{", b'{"drift_report": 1}', b"\xff"])
def test_a_damaged_file_hides_its_own_reports_and_nothing_else(home: Home, content: bytes) -> None:
    metrics = populated(home)
    (home.reports / "voice" / "latest.json").write_bytes(content)
    names = {name for name, _, _ in samples(metrics.render(STATES))}
    assert {"ftassets_production_info", "ftassets_requests_total"} <= names
    assert "ftassets_report_verdict" not in names


def test_counters_end_in_total_times_are_in_seconds_and_every_metric_says_what_it_is(home: Home) -> None:
    for family in text_string_to_metric_families(populated(home).render(STATES).decode()):
        assert re.fullmatch(r"ftassets_[a-z_]+[a-z]", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|milliseconds|minutes|hours)(_|$)", family.name)
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            assert (family.type == "counter") == sample.name.endswith("_total")
            assert (family.type == "histogram") == sample.name.endswith(("_bucket", "_sum", "_count"))
            if "loop" in sample.labels:
                assert len(sample.labels.get("version", "")) in (0, 12)
        if family.name.endswith("_ratio"):
            assert all(0 <= sample.value <= 1 for sample in family.samples)


def test_shows_the_health_that_automation_found_last_and_who_knows_of_a_concern(home: Home) -> None:
    metrics = populated(home)
    found = list(samples(metrics.render(STATES)))
    loop = {"loop": "voice"}
    concern = {**loop, "concern": "traffic-stopped", "about": "", "severity": "ticket"}
    for expected in (
        ("ftassets_health_timestamp_seconds", loop, 9e8),
        ("ftassets_concern", {**concern, "acknowledged": "false"}, 1.0),
        ("ftassets_last_request_timestamp_seconds", loop, 8.9e8),
        ("ftassets_longest_pause_seconds", loop, 600.0),
        ("ftassets_new_labels", loop, 5.0),
        ("ftassets_labels_per_day", loop, 0.5),
        ("ftassets_feedback_per_day", loop, 4.0),
        ("ftassets_retrains_in_quarter", loop, 1.0),
        ("ftassets_trigger_waits_timestamp_seconds", {**loop, "trigger": "drift", "cause": "few_labels"}, 8e8),
        ("ftassets_release_waits_timestamp_seconds", {**loop, "version": C[:12], "cause": "approval"}, 6e8),
        ("ftassets_report_next_timestamp_seconds", {**loop, "report": "drift_report"}, 9.1e8),
        ("ftassets_report_unmeasured_timestamp_seconds", {**loop, "report": "drift_report"}, 5e8),
    ):
        assert expected in found
    said = Said(by="anna", at=9e8, reason="known")
    update_notices(control(home), "voice", lambda known: known.seeing([STOPPED], 9e8).acknowledge("traffic-stopped", said))
    assert ("ftassets_concern", {**concern, "acknowledged": "true"}, 1.0) in list(samples(metrics.render(STATES)))
