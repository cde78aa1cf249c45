"""What a person should know of a loop's health: one rule each, from what was observed, without reading anything."""

from collections.abc import Iterator

from ftassets.domain.health.health import Concern, Health, Monitor
from ftassets.domain.health.subjects import RANK, SUBJECTS
from ftassets.domain.rollout.next_release import Obstacle
from ftassets.wording import amount, span

DAY = 86400.0
LATE = DAY  # seconds after its time at which a report is missing
UNMEASURED = 7 * DAY  # seconds without data after which a monitor is blind, or three times the time between reports
# seconds for which a version has served before a report can have a verdict on it: days to compare with, those that are compared, and
# days for which answers may wait for their feedback
SETTLES = {"quality_report": 28 * DAY, "drift_report": 7 * DAY}
STOPPED = 2.0  # times the longest pause of the last two weeks: a pause that long does not come by chance
SHORTEST_STOP = 3600.0  # seconds
SILENT = 300.0  # seconds without a heartbeat of Dagster's daemon, which gives one every 30; Dagster itself waits for half an hour
CANARY = 3 * DAY
FEW = 10  # requests that failed from which they are many
PAUSED = 7 * DAY

# report -> subject, what it found
_REPORTS = {
    "drift_report": ("drift-alarm", "requests are new to the version in production"),
    "quality_report": ("quality-drop", "live quality has dropped and stayed down"),
    "live_golden_report": ("golden-below-floor", "golden rows are answered below the floor"),
    "since_evaluation": ("golden-regression", "the version answers worse than in its evaluation"),
    "behaviour_report": ("behaviour-changed", "answers read differently from the version's first ones"),
}
_TOO_HIGH = ("golden-floor-too-high", "golden rows are answered below the floor, as they were in the version's own evaluation")


def concerns(health: Health, told_after: float) -> tuple[Concern, ...]:
    """What a person should know, the most severe first. `told_after`: seconds for which a trigger may wait for labels or a person."""
    found = [
        *_gateway(health),
        *_answers(health),
        *_automation(health),
        *_release(health),
        *_monitors(health),
        *_traffic(health),
        *_trigger(health, told_after),
        *_held(health),
    ]
    return tuple(sorted(found, key=lambda each: (-RANK[each.severity], each.key)))


def _concern(subject: str, text: str, detail: str = "", command: str = "", since: float | None = None) -> Concern:
    return Concern(subject=subject, severity=SUBJECTS[subject].severity, text=text, detail=detail, command=command, since=since)


def _gateway(health: Health) -> Iterator[Concern]:
    if health.gateway is not None:
        yield _concern("gateway-absent", health.gateway, command="ftassets doctor")
    if health.unrecorded is not None:
        yield _concern("not-recorded", f"no request is answered: {health.unrecorded}", command="ftassets doctor")


def _answers(health: Health) -> Iterator[Concern]:
    if health.production is None:
        return
    version, found = health.production[:12], health.answers
    if found.silent is not None:
        yield _concern("version-silent", f"version {version} in production does not answer: {found.silent}", command="ftassets doctor")
    if found.recent.many:
        worst = found.recent if found.recent.failed >= FEW else found.longer
        if worst.many and worst.failed >= FEW:
            what = f"{worst.failed} of {amount(worst.requests, 'request')} to version {version} failed"
            yield _concern("many-errors", f"{what} in the last {span(worst.seconds)}, and others still fail")


def _automation(health: Health) -> Iterator[Concern]:
    silent = [daemon for daemon in health.automation.daemons if daemon.at is None or health.at - daemon.at > SILENT]
    if silent:
        ages = ", ".join(f"{d.name} {'never ran' if d.at is None else f'{span(health.at - d.at)} ago'}" for d in silent)
        text = f"Dagster's daemon shows no sign of life ({ages}): no sensor, schedule or run starts"
        yield _concern("automation-stopped", text, command="ftassets doctor")
    if failing := [daemon for daemon in health.automation.daemons if daemon.error and daemon not in silent]:
        names = ", ".join(daemon.name for daemon in failing)
        yield _concern("automation-fails", f"parts of Dagster's daemon fail ({names}): {failing[0].error}", command="ftassets doctor")
    for tick in health.automation.ticks:
        if tick.error:
            yield _concern("sensor-fails", f"{tick.name} fails: {tick.error}", detail=tick.name, since=tick.at)


def _release(health: Health) -> Iterator[Concern]:
    release = health.release
    if release is not None and release.cause is not None:
        yield _concern(
            "release-rolled-back" if release.cause == Obstacle.ROLLED_BACK else "release-waits",
            release.reason,
            detail=release.version[:12] if release.cause == Obstacle.ROLLED_BACK else f"{release.cause}:{release.version[:12]}",
            command=release.command,
            since=release.at,
        )


def _monitors(health: Health) -> Iterator[Concern]:
    if health.production is None:
        return
    for monitor in health.monitors:
        about = monitor.version in (None, health.production)
        if about and monitor.wrong and monitor.name in _REPORTS:
            subject, text = _TOO_HIGH if monitor.as_released else _REPORTS[monitor.name]
            yield _concern(subject, f"{text} ({health.production[:12]})", since=monitor.at)
        yield from _blind(health, monitor)


def _blind(health: Health, monitor: Monitor) -> Iterator[Concern]:
    """A report that is not made, or that has measured nothing for long."""
    known = [at for at in (monitor.at, health.since) if at is not None]
    if monitor.every is None or not known:
        return
    last, blind = max(known), monitor.unmeasured_since
    if blind is not None and health.since is not None:
        blind = max(blind, health.since + SETTLES.get(monitor.name, 0.0))
    if health.at - last > monitor.every + LATE:
        age = "it has never been made" if monitor.at is None else f"the newest is {span(health.at - monitor.at)} old"
        text = f"{monitor.name} is missing: {age}, and one is due each {span(monitor.every)}"
        yield _concern("report-missing", text, detail=monitor.name, since=last)
    elif blind is not None and health.at - blind > max(UNMEASURED, 3 * monitor.every):
        text = f"{monitor.name} has had no verdict for {span(health.at - blind)}: so little data shows large faults at most"
        yield _concern("monitor-without-data", text, detail=monitor.name, since=blind)


def _traffic(health: Health) -> Iterator[Concern]:
    last, longest = health.traffic.last_at, health.traffic.longest_pause
    if health.production is None or last is None or longest is None:
        return
    if health.at - last > max(STOPPED * longest, SHORTEST_STOP):
        text = f"no request for {span(health.at - last)}; the longest pause of the last two weeks was {span(longest)}"
        yield _concern("traffic-stopped", text, since=last)


def _trigger(health: Health, told_after: float) -> Iterator[Concern]:
    trigger = health.trigger
    if trigger is not None and trigger.since is not None and health.at - trigger.since >= told_after:
        text = f"the {trigger.trigger} trigger has waited for {span(health.at - trigger.since)}: {trigger.reason}"
        yield _concern("retrain-waits", text, since=trigger.since)


def _held(health: Health) -> Iterator[Concern]:
    if health.candidate and health.since is not None and health.at - health.since > CANARY:
        what = f"had {health.weight} % of the traffic" if health.weight else "been in shadow"
        text = f"version {health.candidate[:12]} has {what} for {span(health.at - health.since)}"
        yield _concern("canary-stuck", text, since=health.since)
    if health.paused is not None and health.paused_since is not None and health.at - health.paused_since > PAUSED:
        text = f"paused for {span(health.at - health.paused_since)}: {health.paused}"
        yield _concern("loop-paused", text, since=health.paused_since)
