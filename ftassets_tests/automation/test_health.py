"""The sensor that finds out how a loop is, and what it tells people: against Dagster's own heartbeats, ticks and events."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType, TickData, TickStatus
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from ftassets.assets._shared.events import SIGNED
from ftassets.assets._shared.stored_reports import policy_digest
from ftassets.assets.drift_report.asset import IN_A_ROW
from ftassets.assets.health.asset import CHECK
from ftassets.assets.health.observe import all_states, automation
from ftassets.automation import health
from ftassets.backends.control.health import read_decision, read_health, read_notices, update_notices
from ftassets.backends.control.latest import record_latest
from ftassets.backends.control.shadow import add_shadow
from ftassets.config.cron import longest_pause
from ftassets.config.profiles import control
from ftassets.domain.health.health import Health
from ftassets.domain.health.notices import LASTS, OVER, Said
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.shadow import ShadowRetrain
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, C, P, loop_of

RULES = {"people": {"anna": "lead"}, "approve": ["lead"]}


class Clock:
    """The time of the sensor."""

    def __init__(self) -> None:
        self.now = time.time()

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("ftassets.automation.health.time", clock)
    return clock


def keys(bench: Bench, **changes: Any) -> list[str]:
    """Concerns of a loop as the sensor stores them."""
    bench.health(loop_of(**changes) if changes else AUTO)
    found = read_health(control(bench.home), NAME)
    assert found is not None
    return [each.key for each in found.concerns if each.subject != "automation-stopped"]


def stored(bench: Bench) -> Health:
    found = read_health(control(bench.home), NAME)
    assert found is not None
    return found


def report(bench: Bench, name: str, verdict: str, at: float, version: str = P) -> None:
    record_latest(control(bench.home), NAME, name, LatestReport(at=at, version=version, verdict=verdict))


def test_reports_the_page_when_what_it_says_changes_and_not_at_every_tick(bench: Bench) -> None:
    first = bench.health()
    made, check = first.asset_events
    assert isinstance(made, dg.AssetMaterialization)
    assert isinstance(check, dg.AssetCheckEvaluation)
    assert (check.check_name, check.passed) == (CHECK, True)
    assert {"verdict", "concerns", "monitors", "last_decision"} <= made.metadata.keys()
    again = bench.health(cursor=first.cursor)
    assert (again.asset_events, again.cursor) == ([], first.cursor)
    bench.serving.error = "gateway not reachable"
    changed = bench.health(cursor=first.cursor)
    [_, check] = changed.asset_events
    assert isinstance(check, dg.AssetCheckEvaluation)
    assert (check.passed, check.severity, check.description) == (False, dg.AssetCheckSeverity.ERROR, "gateway not reachable")


def test_a_gateway_that_is_gone_or_cannot_record_is_a_page_and_what_was_known_stays(bench: Bench) -> None:
    assert keys(bench) == []
    bench.serving.unrecorded = "disk full"
    assert keys(bench) == ["not-recorded"]
    bench.serving.error = "gateway not reachable"
    assert keys(bench) == ["gateway-absent"]
    assert stored(bench).production == P


def test_a_release_that_waits_for_a_person_is_named_with_the_command_to_type(bench: Bench) -> None:
    bench.materialize("release", C, report_digest="e" * 64)
    assert keys(bench) == [], "auto starts it"
    assert keys(bench, mode="propose", release=RULES) == [f"release-waits:approval:{C[:12]}"]
    [waits] = [each for each in stored(bench).concerns if each.subject == "release-waits"]
    assert waits.command == f"ftassets approve {NAME} {C[:12]} --name NAME --reason TEXT"
    assert keys(bench, mode="observe") == [f"release-waits:observed:{C[:12]}"]
    approval = Approval(loop=NAME, version=C, report_digest="e" * 64, name="anna", role="lead", reason="looks right", issued_at=1000)
    bench.releases.write(NAME, C, "approval", approval_statement(approval))
    assert keys(bench, mode="propose", release=RULES) == []
    bench.serving.now = EndpointState(production=P, rejected=(C,))
    assert keys(bench, mode="propose", release=RULES) == [f"release-waits:approved_in_vain:{C[:12]}"]
    [vain] = [each for each in stored(bench).concerns if each.subject == "release-waits"]
    assert (vain.severity, vain.command) == ("ticket", f"ftassets start {NAME} {C[:12]} --reason TEXT")
    bench.serving.now = EndpointState(production=C)
    assert keys(bench, mode="propose", release=RULES) == []


def test_gates_that_were_changed_after_the_report_are_a_finding_and_start_nothing(bench: Bench) -> None:
    signed = {"policy_digest": policy_digest(AUTO), "compared_with": P, "expires_at": time.time() + 60, "report_digest": "e" * 64}
    bench.materialize("release", C, **{SIGNED: dg.MetadataValue.json(signed)})
    assert keys(bench) == []
    stricter = [{"metric": "exact_match", "better_than": "production"}, {"metric": "exact_match", "at_least": 0.9}]
    assert keys(bench, gates=stricter) == [f"release-waits:gates_changed:{C[:12]}"]
    result = bench.rollout(loop_of(gates=stricter))
    assert "the gates of the loop file are not those that release" in result.skip_message


def test_reports_that_are_missing_wrong_or_without_data(bench: Bench, clock: Clock) -> None:
    began = clock.now
    bench.serving.now = EndpointState(production=P, since=began)
    every = longest_pause(AUTO.monitors.every)
    assert every == 86400
    assert keys(bench) == []
    clock.now = began + 3 * every
    names = ["behaviour_report", "drift_report", "live_golden_report", "quality_report"]
    assert keys(bench) == [f"report-missing:{name}" for name in names]
    for name in names:
        report(bench, name, "NOT ENOUGH DATA", clock.now)
    assert keys(bench) == [], "not for long enough"
    for days, blind in ((11, ["behaviour_report", "live_golden_report"]), (15, names[:3]), (36, names)):
        clock.now = began + days * every
        for name in names:
            report(bench, name, "NOT ENOUGH DATA", clock.now)
        assert keys(bench) == [f"monitor-without-data:{name}" for name in blind], "a version has not served for long enough for others"
    clock.now += 60
    report(bench, "drift_report", "ALARM", clock.now)
    report(bench, "quality_report", "FAIL", clock.now, version=C)
    report(bench, "behaviour_report", "PASS", clock.now)
    report(bench, "live_golden_report", "PASS", clock.now)
    assert keys(bench) == ["drift-alarm"], "the drop is of another version"
    clock.now += 60
    report(bench, "drift_report", "NOT ENOUGH DATA", clock.now)
    assert keys(bench) == []


def test_one_alarm_is_not_enough_where_several_in_a_row_are_asked_for(bench: Bench, clock: Clock) -> None:
    for in_a_row, found in ((1.0, []), (2.0, ["drift-alarm"])):
        latest = LatestReport(at=clock.now + in_a_row, version=P, verdict="ALARM", values={IN_A_ROW: in_a_row}, limits={IN_A_ROW: 2.0})
        record_latest(control(bench.home), NAME, "drift_report", latest)
        assert keys(bench) == found


def test_traffic_that_stopped_is_told_from_a_night_without_requests(bench: Bench, clock: Clock) -> None:
    """Ten days with a request each hour of the day, none from 22 to 8; the sensor looks each half hour."""
    began = clock.now = clock.now // 86400 * 86400
    bench.serving.now = EndpointState(production=P, since=began)
    requests = [began + day * 86400 + hour * 3600 for day in range(10) for hour in range(8, 22)]
    asked = bench.traffic.answer(P)
    bench.traffic.append([replace(asked, id=f"r{at}", at=at) for at in requests])
    bench.traffic.forget(NAME, None, [asked.id])
    for half_hour in range(48 * 10):
        clock.now = began + half_hour * 1800 + 60
        assert "traffic-stopped" not in keys(bench)
    assert stored(bench).traffic.longest_pause == pytest.approx(11 * 3600)
    clock.now = requests[-1] + 2 * 11 * 3600 - 60
    assert "traffic-stopped" not in keys(bench)
    clock.now += 120
    assert "traffic-stopped" in keys(bench)
    bench.traffic.append([replace(asked, id="again", at=clock.now - 1)])
    assert "traffic-stopped" not in keys(bench)


def test_people_are_told_once_when_it_lasts_and_once_when_it_is_over(bench: Bench, clock: Clock) -> None:
    report(bench, "drift_report", "ALARM", clock.now)

    def after(seconds: float, verdict: str | None = None) -> list[tuple[str, bool]]:
        clock.now += seconds
        if verdict:
            report(bench, "drift_report", verdict, clock.now)
        bench.told.alerts.clear()
        bench.health()
        return [(alert.key, alert.resolved) for alert in bench.told.alerts]

    key = f"{NAME}:drift-alarm"
    assert after(0) == []
    assert after(LASTS - 1) == []
    assert after(1) == [(key, False)]
    assert after(10) == []
    assert after(86400, "ALARM") == []
    assert after(60, "QUIET") == []
    assert after(60, "ALARM") == [], "it came back: the same one"
    assert after(1, "QUIET") == []
    assert after(OVER - 2) == []
    assert after(1) == [(key, True)]
    assert after(60) == []
    assert read_notices(control(bench.home), NAME).open == {}
    assert after(60, "ALARM") == []
    assert after(LASTS) == [(key, False)], "another one"


def test_a_notice_that_could_not_be_sent_is_sent_again(bench: Bench, clock: Clock) -> None:
    report(bench, "drift_report", "ALARM", clock.now)
    bench.told.reached = False
    bench.health()
    for seconds, sent in ((LASTS, 1), (60, 1), (600, 2)):
        clock.now += seconds
        bench.health()
        assert len(bench.told.alerts) == sent
    bench.told.reached = True
    for _ in range(2):
        clock.now += 600
        bench.health()
    assert len(bench.told.alerts) == 3


def test_what_people_know_or_do_not_want_is_not_sent(bench: Bench, clock: Clock) -> None:
    there, said = control(bench.home), Said(by="anna", at=clock.now, reason="we label")
    report(bench, "drift_report", "ALARM", clock.now)
    bench.health()
    update_notices(there, NAME, lambda known: known.acknowledge("drift-alarm", said))
    clock.now += LASTS
    bench.health()
    assert bench.told.alerts == []
    update_notices(there, NAME, lambda known: known.silence("release-waits", clock.now + 3600, said))
    for _ in range(5):
        clock.now += LASTS
        bench.materialize("release", C)
        bench.health(loop_of(mode="observe"))
    assert bench.told.alerts == []
    clock.now += 3600
    bench.health(loop_of(mode="observe"))
    assert [alert.subject for alert in bench.told.alerts] == ["release-waits"], "the silence is over, and it is still there"


def test_what_the_gateway_shows_to_prometheus_comes_from_there_alone(bench: Bench, clock: Clock) -> None:
    bench.serving.unrecorded = "disk full"
    for _ in range(3):
        assert keys(bench) == ["not-recorded"]
        clock.now += LASTS
    assert bench.told.alerts == []


def test_a_loop_without_automation_is_looked_at_and_nobody_is_told(bench: Bench, clock: Clock) -> None:
    bench.serving.unrecorded = "disk full"
    report(bench, "drift_report", "ALARM", clock.now)
    for _ in range(3):
        assert keys(bench, automation=False) == ["not-recorded", "drift-alarm"]
        clock.now += LASTS
    assert bench.told.alerts == []


def test_the_newest_decision_is_shown_with_its_age(bench: Bench) -> None:
    bench.retrain()
    decision = read_decision(control(bench.home), NAME)
    assert decision is not None
    assert (decision.action, decision.cause, decision.new_labels) == ("NO", "no_trigger", 0)
    made, _ = bench.health().asset_events
    assert isinstance(made, dg.AssetMaterialization)
    assert "NO: " in str(made.metadata["last_decision"].value)


def test_what_auto_would_have_done_is_a_plot_which_is_reported_again_when_there_is_more(bench: Bench, clock: Clock) -> None:
    loop, there = loop_of(mode="observe"), control(bench.home)
    assert not any("shadow" in str(event.metadata) for event in bench.health(loop).asset_events)
    cursor: str | None = None
    for number in (1, 2):
        made = ShadowRetrain(at=clock.now - 86400 / number, trigger="drift", reason="new", new_labels=200 * number, labels_commit="c")
        add_shadow(there, NAME, made)
        result = bench.health(loop, cursor)
        page = result.asset_events[0]
        assert isinstance(page, dg.AssetMaterialization)
        assert "data:image/png" in str(page.metadata["shadow_ledger"].value)
        times = "once" if number == 1 else "2 times"
        assert str(page.metadata["auto_would_have"].value).startswith(f"auto would have retrained {times}")
        cursor = result.cursor
        assert bench.health(loop, cursor).asset_events == []


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def test_the_daemon_is_known_by_its_heartbeats_and_sensors_by_their_ticks(instance: dg.DagsterInstance) -> None:
    required = instance.get_required_daemon_types()
    assert {daemon.at for daemon in automation(instance, all_states(instance), NAME).daemons} == {None}
    failed = SerializableErrorInfo("ValueError: no such table\n", [], "ValueError")
    for name in required:
        instance.add_daemon_heartbeat(DaemonHeartbeat(1000.0, name, "id", [failed] if name == "SENSOR" else None))
    found = automation(instance, all_states(instance), NAME)
    assert {daemon.at for daemon in found.daemons} == {1000.0}
    assert [(daemon.name, daemon.error) for daemon in found.daemons if daemon.error] == [("SENSOR", "ValueError: no such table")]
    place = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository")
    for name, status, tick in (
        (f"{NAME}__retrain", InstigatorStatus.RUNNING, TickStatus.FAILURE),
        (f"{NAME}__rollout", InstigatorStatus.STOPPED, TickStatus.FAILURE),
        (f"{NAME}__health", InstigatorStatus.RUNNING, TickStatus.SKIPPED),
        ("other__retrain", InstigatorStatus.RUNNING, TickStatus.FAILURE),
    ):
        state = InstigatorState(RemoteInstigatorOrigin(place, name), InstigatorType.SENSOR, status)
        instance.add_instigator_state(state)
        for at in (1.0, 2.0):
            instance.create_tick(
                TickData(
                    state.instigator_origin_id, name, InstigatorType.SENSOR, tick, at,
                    error=failed if tick is TickStatus.FAILURE else None, selector_id=state.selector_id,
                )
            )  # fmt: skip
    found = automation(instance, all_states(instance), NAME)
    assert [(tick.name, tick.at, bool(tick.error)) for tick in found.ticks] == [
        (f"{NAME}__health", 2.0, False),
        (f"{NAME}__retrain", 2.0, True),
    ]
    assert found.switched_off == (f"{NAME}__rollout",)


def test_a_loop_s_sensors_are_read_without_those_of_other_loops(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    here = RegisteredCodeLocationOrigin("here")
    stored = [f"{NAME}__retrain", f"{NAME}__health", "other__retrain"]
    for name in stored:
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(here, "everything"), name)
        instance.add_instigator_state(InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING))
    sensors = [dg.SensorDefinition(name=name, job_name="job", evaluation_fn=lambda _: None) for name in (*stored, f"{NAME}__never_ran")]

    @dg.repository(name="everything")
    def repository() -> list[Any]:
        return [dg.JobDefinition(graph_def=dg.GraphDefinition(name="job")), *sensors]

    def context(**place: Any) -> dg.SensorEvaluationContext:
        return dg.SensorEvaluationContext(
            instance_ref=None, last_tick_completion_time=None, last_run_key=None, cursor=None, log_key=None, repository_name=None,
            instance=instance, **place,
        )  # fmt: skip

    assert len(health.states_known_to(context(), NAME)) == 3, "Dagster did not say where the sensor is"
    monkeypatch.setattr(instance, "all_instigator_state", None)
    found = health.states_known_to(context(repository_def=repository, code_location_origin=here), NAME)
    assert {state.instigator_name for state in found} == {f"{NAME}__retrain", f"{NAME}__health"}
