"""Reads the health of a loop once, for its asset, its sensor and `ftassets status`: a few small documents and newest events."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.selector import InstigatorSelector
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, TickStatus
from dagster._utils.schedules import get_next_cron_tick

from ftassets.assets._shared.events import data_version, history, node
from ftassets.assets._shared.offered import offered
from ftassets.assets.drift_report.asset import IN_A_ROW
from ftassets.backends.control.base import Control
from ftassets.backends.control.health import read_decision, read_health
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.pauses import pause_reason, pause_record
from ftassets.backends.control.releases import Releases
from ftassets.backends.control.waiting import read_waiting
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import Signer
from ftassets.backends.traffic_log.base import LogUnreachable, LogUnusable, TrafficLog
from ftassets.config.cron import longest_pause
from ftassets.config.loop import LoopConfig
from ftassets.domain.drift.comparison import DriftVerdict
from ftassets.domain.formats import NewerFormat
from ftassets.domain.gates.result import Verdict
from ftassets.domain.health.concerns import FEW, concerns
from ftassets.domain.health.health import (
    Answers,
    Automation,
    Daemon,
    Failures,
    Feedback,
    Health,
    Monitor,
    NewestRelease,
    Tick,
    Traffic,
    Trigger,
)
from ftassets.domain.monitoring.latest import EVALUATED, LatestReport
from ftassets.domain.report_kinds import REPORT_KINDS
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.next_release import in_the_way

WEEK = 7 * 86400.0
FEEDBACK_KEPT = 3600.0  # seconds for which the counts of a week's feedback stand: they take longest
_ENDED = [TickStatus.SUCCESS, TickStatus.SKIPPED, TickStatus.FAILURE]


@dataclass(frozen=True)
class Stores:
    """Where the health of a loop is read. Without an `instance`, where Dagster never ran, nothing is known of releases and automation.

    `automation` are the states of sensors and schedules, of this loop at least. Read them once for many loops: Dagster finds them by id, or
    all of them.
    """

    control: Control
    traffic_log: TrafficLog
    serving: Serving
    signer: Signer
    instance: dg.DagsterInstance | None
    automation: tuple[InstigatorState, ...] = ()


def observe(loop: LoopConfig, stores: Stores, now: float) -> Health:
    """The health of a loop at `now` (epoch seconds), continued from what automation stored last. Raises OSError, NewerFormat."""
    control, known = stores.control, _known(stores.control, loop.name)
    gateway, unrecorded, silent = None, None, None
    state = EndpointState() if known is None else EndpointState(production=known.production, since=known.since or 0.0)
    try:
        state = stores.serving.state(loop.name)
        health = stores.serving.health(loop.name)
        log, served = health["traffic_log"], health["versions"].get(state.production or "", {"ready": True})
        unrecorded = None if log["ready"] else str(log["why"])
        silent = None if served["ready"] else str(served["why"])
    except ServingError as error:
        gateway = str(error)
    paused = pause_reason(control, loop.name)
    entries = pause_record(control, loop.name) if paused is not None else []
    found = Health(
        at=now,
        mode=loop.mode,
        gateway=gateway,
        unrecorded=unrecorded,
        production=state.production,
        since=state.since or None,
        answers=Answers(silent=silent, **_failures(stores.traffic_log, loop.name, state.production, now)),
        candidate=state.candidate,
        weight=state.weight,
        paused=paused,
        paused_since=entries[-1].at if entries else None,
        monitors=tuple(_monitors(loop, newest_reports(control, loop.name), now)),
        release=None if stores.instance is None else _release(loop, stores, stores.instance, state, now),
        trigger=_trigger(control, loop),
        automation=Automation() if stores.instance is None else automation(stores.instance, stores.automation, loop.name),
        **_traffic(loop, stores, state.production, known, now),
    )
    return found.model_copy(update={"concerns": concerns(found, loop.retrain_on.notify_after)})


def all_states(instance: dg.DagsterInstance) -> tuple[InstigatorState, ...]:
    """The states of all sensors and schedules; none of an instance in memory, which has no store of them and runs no daemon."""
    return tuple(instance.all_instigator_state()) if instance.schedule_storage else ()


def states_of(instance: dg.DagsterInstance, location: str, repository: str, names: Iterable[str]) -> tuple[InstigatorState, ...]:
    """The states of these sensors and schedules of a code location, each found by its id."""
    ids = (InstigatorSelector(location_name=location, repository_name=repository, name=name).get_id() for name in names)
    found = (instance.get_instigator_state("", each) for each in ids) if instance.schedule_storage else ()
    return tuple(state for state in found if state is not None)


def automation(instance: dg.DagsterInstance, stored: Sequence[InstigatorState], loop: str) -> Automation:
    """The heartbeats of Dagster's daemon, and how the loop's sensors and schedules fared at their newest tick."""
    beats = instance.get_daemon_heartbeats()
    daemons = []
    for name in sorted(instance.get_required_daemon_types()):
        beat = beats.get(name)
        error = _said(beat.errors[0].message) if beat and beat.errors else None
        daemons.append(Daemon(name=name, at=beat.timestamp if beat else None, error=error))
    states = [state for state in stored if state.instigator_name.startswith(f"{loop}__")]
    off = sorted(state.instigator_name for state in states if state.status is InstigatorStatus.STOPPED)
    return Automation(daemons=tuple(daemons), ticks=tuple(_ticks(instance, states)), switched_off=tuple(off))


def _ticks(instance: dg.DagsterInstance, states: Sequence[InstigatorState]) -> Iterator[Tick]:
    for state in sorted(states, key=lambda state: state.instigator_name):
        for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1, statuses=_ENDED):
            error = _said(tick.error.message) if tick.status is TickStatus.FAILURE and tick.error else None
            if error is None or state.status is not InstigatorStatus.STOPPED:
                yield Tick(name=state.instigator_name, at=tick.timestamp, error=error)


def _said(message: str) -> str:
    """An error in one line, without the statement that SQLAlchemy adds."""
    return " ".join(message.partition("[SQL: ")[0].split())[:300]


def _known(control: Control, loop: str) -> Health | None:
    try:
        return read_health(control, loop)
    except NewerFormat:
        return None


def _monitors(loop: LoopConfig, reports: dict[str, LatestReport], now: float) -> Iterator[Monitor]:
    crons = {kind.asset: loop.monitors.every for kind in REPORT_KINDS.values() if kind.monitor and kind.asset} if loop.automation else {}
    if loop.automation:
        crons["drift_report"] = loop.retrain_on.drift.every
    for name in [*crons, *sorted(set(reports) - set(crons))]:
        report, cron = reports.get(name), crons.get(name)
        yield Monitor(
            name=name,
            at=report.at if report else None,
            verdict=report.verdict if report else None,
            version=report.version if report else None,
            wrong=report is not None and _wrong(report),
            as_released=report is not None and report.values.get(EVALUATED, 1.0) < report.limits.get(EVALUATED, 0.0),
            unmeasured_since=report.unmeasured_since if report else None,
            every=longest_pause(cron) if cron else None,
            next_at=_next(cron, loop.timezone, now) if cron else None,
            note=report.note if report else "",
        )


def _wrong(report: LatestReport) -> bool:
    """Whether it found something; of drift as many alarms in a row as the loop asks for, which a report without data does not end."""
    if IN_A_ROW in report.values:
        return report.values[IN_A_ROW] >= report.limits.get(IN_A_ROW, 1.0)
    return report.verdict in (Verdict.FAIL, DriftVerdict.ALARM)


def _next(cron: str, timezone: str, since: float) -> float:
    return get_next_cron_tick(cron, datetime.fromtimestamp(since, UTC), timezone).timestamp()


def _release(loop: LoopConfig, stores: Stores, instance: dg.DagsterInstance, state: EndpointState, now: float) -> NewestRelease | None:
    """The newest release; one that is in production, or starts once the rollout before it has ended, has nothing in its way."""
    for at, event in history(instance, node(loop.name, "release"), limit=1):
        offer, _ = offered(loop, event, Releases(stores.control, stores.signer))
        obstacle = None if offer.version == state.candidate else in_the_way(offer, state, loop.mode, now)
        if obstacle is None:
            return NewestRelease(version=data_version(event), at=at)
        return NewestRelease(
            version=data_version(event), at=at, cause=obstacle.obstacle.value, reason=obstacle.reason, command=obstacle.command
        )
    return None


def _trigger(control: Control, loop: LoopConfig) -> Trigger | None:
    decision = read_decision(control, loop.name)
    if decision is None:
        return None
    waiting = read_waiting(control, loop.name)
    return Trigger(
        **decision.model_dump(exclude={"untried_labels"}),
        max_retrains=loop.retrain_on.max_retrains,
        since=waiting.since if waiting else None,
    )


def _traffic(loop: LoopConfig, stores: Stores, production: str | None, known: Health | None, now: float) -> dict[str, Traffic | Feedback]:
    """The newest request and the feedback of a week; what was known before while the log cannot be read."""
    traffic, feedback = (known.traffic, known.feedback) if known else (Traffic(), None)
    try:
        traffic = traffic.after(stores.traffic_log.last_time(loop.name, now), known.at if known else None, now)
        if production is not None and (feedback is None or now - feedback.at >= FEEDBACK_KEPT):
            feedback = _feedback(stores.traffic_log, loop.name, production, now)
    except (LogUnreachable, LogUnusable):  # the gateway says so too
        pass
    return {"traffic": traffic, **({"feedback": feedback} if feedback else {})}


def _failures(log: TrafficLog, loop: str, production: str | None, now: float) -> dict[str, Failures]:
    """Requests to production that failed; nothing while the log cannot be read."""
    found = dict[str, Failures]()

    def count(name: str) -> Failures:
        seconds = Answers.model_fields[name].default.seconds
        outcomes = log.outcomes(loop, [production] if production else [], now - seconds, now)
        failed = sum(each.count for each in outcomes if each.status >= 500)
        return Failures(seconds=seconds, requests=sum(each.count for each in outcomes), failed=failed)

    try:
        found["recent"] = count("recent")
        if 0 < found["recent"].failed < FEW:
            found["longer"] = count("longer")
    except (LogUnreachable, LogUnusable):  # the gateway says so too
        pass
    return found


def _feedback(log: TrafficLog, loop: str, production: str, now: float) -> Feedback:
    counts = log.feedback_counts(loop, production, now - WEEK, now)
    return Feedback(
        at=now,
        requests_per_day=log.count(loop, now - WEEK, now) / 7,
        feedback_per_day=counts.reviewed / 7,
        corrections_per_day=counts.corrected / 7,
    )
