"""What `/metrics` shows: requests by loop and version, and what the newest report of each kind found."""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ftassets.backends.control.base import Control
from ftassets.backends.control.health import read_health, read_notices
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.traffic_log.base import Exchange, ShadowAnswer
from ftassets.config.cron import longest_pause
from ftassets.config.loop import LoopConfig
from ftassets.domain.formats import NewerFormat
from ftassets.domain.health.health import Health
from ftassets.domain.health.notices import Notices
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.report_kinds import REPORT_KINDS
from ftassets.domain.rollout.endpoint import EndpointState

log = logging.getLogger(__name__)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
_BY = ("loop", "version")
_FAILURES = (500, 502, 503, 504)  # what a request that a version was to answer can end with


@dataclass(frozen=True)
class Family:
    """Type (counter, gauge or histogram), labels and meaning of a metric. A version is the first 12 characters of its digest."""

    type: str
    labels: tuple[str, ...]
    meaning: str


# every metric of `/metrics`; docs/http-api.md lists them from here
FAMILIES: dict[str, Family] = {
    "ftassets_requests_total": Family("counter", (*_BY, "status"), "Requests that a version was to answer, by HTTP status."),
    "ftassets_rejected_total": Family("counter", ("status",), "Requests refused before a version was chosen, by HTTP status."),
    "ftassets_unrecorded_total": Family("counter", _BY, "Requests refused because their row could not be stored in the traffic log."),
    "ftassets_traffic_log_ready": Family("gauge", (), "1 while the traffic log can be written and read, else 0: without it none answers."),
    "ftassets_revision": Family("gauge", (), "Number of the newest change of traffic that is in force at this gateway."),
    "ftassets_control_age_seconds": Family(
        "gauge", (), "Seconds since this gateway reached the database that tells it what others changed."
    ),
    "ftassets_gateways": Family("gauge", (), "Live gateways of the same loops that this one knows of, itself included."),
    "ftassets_latency_seconds": Family("histogram", _BY, "Time from the request to the last byte of the answer."),
    "ftassets_first_token_seconds": Family("histogram", _BY, "Time from the request to the first token, of streamed answers."),
    "ftassets_tokens_total": Family("counter", (*_BY, "direction"), "Tokens as the model server counted them; direction is in or out."),
    "ftassets_shadow_copies_total": Family(
        "counter", (*_BY, "status"), "Copies of requests that a candidate in shadow answered, by HTTP status; no client got these answers."
    ),
    "ftassets_shadow_dropped_total": Family(
        "counter",
        (*_BY, "reason"),
        "Copies without an answer that counts: busy (more than fit), unavailable (no model server), over (the phase ended), not_recorded.",
    ),
    "ftassets_shadow_disagreements_total": Family("counter", _BY, "Copies whose answer says something else than production's."),
    "ftassets_weight_percent": Family("gauge", _BY, "Weight of a version: percent of the loop's traffic."),
    "ftassets_production_info": Family("gauge", _BY, "Always 1, for the version in production."),
    "ftassets_paused": Family("gauge", ("loop",), "1 while a person has paused the loop, else 0."),
    "ftassets_notified": Family("gauge", ("loop",), "1 if Dagster sends the loop's alerts to an address of its notify section, else 0."),
    "ftassets_health_timestamp_seconds": Family("gauge", ("loop",), "When Dagster last found out how the loop is, in epoch seconds."),
    "ftassets_concern": Family(
        "gauge",
        ("loop", "concern", "about", "severity", "acknowledged"),
        "Always 1, for each thing a person should know, as `ftassets status` lists it; concern is a section of the runbook.",
    ),
    "ftassets_last_request_timestamp_seconds": Family("gauge", ("loop",), "Time of the loop's newest request, in epoch seconds."),
    "ftassets_longest_pause_seconds": Family("gauge", ("loop",), "Longest time between two requests in the last two weeks."),
    "ftassets_new_labels": Family("gauge", ("loop",), "Usable labels that the version in production was not trained on."),
    "ftassets_labels_per_day": Family("gauge", ("loop",), "Corrections that come in a day."),
    "ftassets_feedback_per_day": Family("gauge", ("loop",), "Answers of production with feedback, a day of the last week."),
    "ftassets_retrains_in_quarter": Family("gauge", ("loop",), "Retrains of the last 91 days that ran their course."),
    "ftassets_trigger_waits_timestamp_seconds": Family(
        "gauge", ("loop", "trigger", "cause"), "Since when a trigger of a retrain waits for labels or a person, in epoch seconds."
    ),
    "ftassets_release_waits_timestamp_seconds": Family(
        "gauge", (*_BY, "cause"), "When the newest release was made that does not start by itself, in epoch seconds."
    ),
    "ftassets_report_next_timestamp_seconds": Family(
        "gauge", ("loop", "report"), "When the next report of a kind is due, in epoch seconds."
    ),
    "ftassets_report_unmeasured_timestamp_seconds": Family(
        "gauge", ("loop", "report"), "Since when reports of a kind have had too little data for a verdict, in epoch seconds."
    ),
    "ftassets_report_timestamp_seconds": Family("gauge", ("loop", "report"), "Time of the newest report of a kind, in epoch seconds."),
    "ftassets_report_interval_seconds": Family(
        "gauge", ("loop", "report"), "Longest time between two reports of a kind by their schedule. None where automation is off."
    ),
    "ftassets_report_verdict": Family(
        "gauge", (*_BY, "report", "verdict"), "Always 1, for the verdict of the newest report of a kind, and the version it is about."
    ),
    "ftassets_drift_value": Family("gauge", (*_BY, "statistic"), "Statistics of the newest drift report, and alarms in a row up to it."),
    "ftassets_drift_threshold": Family(
        "gauge", (*_BY, "statistic"), "Thresholds of these statistics, and alarms in a row that ask for a retrain."
    ),
    "ftassets_behaviour_value": Family("gauge", (*_BY, "statistic"), "Statistics of the newest behaviour report."),
    "ftassets_behaviour_threshold": Family("gauge", (*_BY, "statistic"), "Thresholds of these statistics."),
    "ftassets_quality_ratio": Family("gauge", (*_BY, "measure"), "Measures of live quality in the newest quality report, 0 to 1."),
    "ftassets_quality_baseline_ratio": Family("gauge", (*_BY, "measure"), "Baselines of these measures, 0 to 1."),
    "ftassets_live_golden_ratio": Family(
        "gauge", (*_BY, "estimate"), "Share of golden rows right: live, its 95 % interval, and in the version's own evaluation."
    ),
    "ftassets_live_golden_floor_ratio": Family("gauge", (*_BY, "estimate"), "The loop's golden floor, 0 to 1."),
}


@dataclass(frozen=True)
class Replica:
    """What a gateway knows of itself among others: its newest change, seconds since control was reached, and how many live."""

    revision: int = 0
    age: float = 0.0
    gateways: int = 1


class Metrics:
    """Prometheus metrics of one gateway for these loops."""

    def __init__(self, control: Control, loops: Mapping[str, LoopConfig]) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("ftassets_requests_total")
        self._rejected = self._counter("ftassets_rejected_total")
        self._unrecorded = self._counter("ftassets_unrecorded_total")
        self._of = lru_cache(maxsize=256)(self._series)
        self._latency = self._histogram("ftassets_latency_seconds")
        self._first = self._histogram("ftassets_first_token_seconds")
        self._tokens = self._counter("ftassets_tokens_total")
        self._copies = self._counter("ftassets_shadow_copies_total")
        self._dropped = self._counter("ftassets_shadow_dropped_total")
        self._disagreements = self._counter("ftassets_shadow_disagreements_total")
        weight = FAMILIES["ftassets_weight_percent"]
        self._weight = Gauge("ftassets_weight_percent", weight.meaning, weight.labels, registry=self._registry)
        recorded = FAMILIES["ftassets_traffic_log_ready"]
        self._recorded = Gauge("ftassets_traffic_log_ready", recorded.meaning, recorded.labels, registry=self._registry)
        self._replica = {name: Gauge(name, FAMILIES[name].meaning, registry=self._registry) for name in _REPLICA}
        self._rendering = threading.Lock()
        self._loops = LoopCollector(control, loops)
        self._registry.register(self._loops)

    def _counter(self, name: str) -> Counter:
        return Counter(name, FAMILIES[name].meaning, FAMILIES[name].labels, registry=self._registry)

    def _histogram(self, name: str) -> Histogram:
        return Histogram(name, FAMILIES[name].meaning, FAMILIES[name].labels, buckets=_SECONDS, registry=self._registry)

    def _begin(self, loop: str, version: str) -> None:
        """Counters of a version from 0: Prometheus sees no increase in a series whose first value it sees is that of its first event."""
        for status in (200, *_FAILURES):
            self._requests.labels(loop, version, str(status))
        self._unrecorded.labels(loop, version)

    def _begin_shadow(self, loop: str, version: str) -> None:
        """The same for a candidate in shadow."""
        self._copies.labels(loop, version, "200")
        self._disagreements.labels(loop, version)
        for reason in ("busy", "unavailable", "over", "not_recorded"):
            self._dropped.labels(loop, version, reason)

    def observe(self, exchange: Exchange) -> None:
        """Count a finished request."""
        requests, latency, tokens_in, tokens_out = self._of(exchange.loop, exchange.version[:12], exchange.status)
        requests.inc()
        latency.observe(exchange.latency_ms / 1000)
        if exchange.first_token_ms is not None:
            self._first.labels(exchange.loop, exchange.version[:12]).observe(exchange.first_token_ms / 1000)
        tokens_in.inc(exchange.tokens_in or 0)
        tokens_out.inc(exchange.tokens_out or 0)

    def _series(self, loop: str, version: str, status: int) -> tuple[Counter, Histogram, Counter, Counter]:
        """What a finished request counts in: to find it by its labels takes longer than to count."""
        return (
            self._requests.labels(loop, version, str(status)),
            self._latency.labels(loop, version),
            self._tokens.labels(loop, version, "in"),
            self._tokens.labels(loop, version, "out"),
        )

    def copied(self, pair: ShadowAnswer) -> None:
        """Count a copy that a candidate in shadow answered."""
        self._copies.labels(pair.loop, pair.version[:12], str(pair.status)).inc()
        if pair.agrees is False:
            self._disagreements.labels(pair.loop, pair.version[:12]).inc()

    def copy_dropped(self, loop: str, version: str, reason: str) -> None:
        """Count a copy that does not count."""
        self._dropped.labels(loop, version[:12], reason).inc()

    def rejected(self, status: int) -> None:
        """Count a request that was refused before a version was chosen."""
        self._rejected.labels(str(status)).inc()

    def unrecorded(self, exchange: Exchange) -> None:
        """Count a request that was refused since the traffic log could not be written."""
        self._unrecorded.labels(exchange.loop, exchange.version[:12]).inc()

    def render(self, states: Mapping[str, EndpointState], recorded: bool = True, replica: Replica = Replica()) -> bytes:
        """The text format, with the weights and reports as they are now; `recorded`: whether the traffic log can be written.

        Blocks: reports are read from control, which may be a server that is away.
        """
        with self._rendering:
            return self._render(states, recorded, replica)

    def _render(self, states: Mapping[str, EndpointState], recorded: bool, replica: Replica) -> bytes:
        self._recorded.set(recorded)
        for name, value in zip(_REPLICA, (replica.revision, replica.age, replica.gateways), strict=True):
            self._replica[name].set(value)
        self._weight.clear()
        for loop, state in states.items():
            for version, share in state.weights.items():
                self._weight.labels(loop, version[:12]).set(share)
                self._begin(loop, version[:12])
            if state.candidate and state.in_shadow:
                self._begin_shadow(loop, state.candidate[:12])
        self._loops.states = states
        return generate_latest(self._registry)


_REPLICA = ("ftassets_revision", "ftassets_control_age_seconds", "ftassets_gateways")


class LoopCollector(Collector):
    """State of the loops: read from their newest reports at each scrape, so that another process may write them."""

    def __init__(self, control: Control, loops: Mapping[str, LoopConfig]) -> None:
        self._control = control
        self._configs = loops
        self.states: Mapping[str, EndpointState] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a metric, for all loops."""
        production = _gauge("ftassets_production_info")
        paused = _gauge("ftassets_paused")
        notified = _gauge("ftassets_notified")
        intervals = _gauge("ftassets_report_interval_seconds")
        reported = _gauge("ftassets_report_timestamp_seconds")
        verdicts = _gauge("ftassets_report_verdict")
        families = {report: _Families(*names) for report, names in _REPORTS.items()}
        for loop, state in self.states.items():
            if state.production:
                production.add_metric((loop, state.production[:12]), 1)
        if not self._reached():  # each read would wait for it
            return (yield production)
        for loop in self.states:
            paused.add_metric((loop,), float(pause_reason(self._control, loop) is not None))
            if config := self._configs.get(loop):
                notified.add_metric((loop,), float(config.notify.addressed))
                for name, seconds in _intervals(config).items():
                    intervals.add_metric((loop, name), seconds)
            for name, report in self._read(loop).items():
                reported.add_metric((loop, name), report.at)
                verdicts.add_metric((loop, (report.version or "")[:12], name, report.verdict), 1)
                if name in families:
                    families[name].add(loop, report)
        yield from (production, paused, notified, intervals, reported, verdicts)
        yield from self._health()
        for each in families.values():
            yield from (each.values, each.limits)

    def _reached(self) -> bool:
        try:
            self._control.names("pauses")
        except OSError as error:
            log.error("what control has of the loops cannot be shown: %s", error)
            return False
        return True

    def _health(self) -> Iterator[GaugeMetricFamily]:
        """What automation found last; its time tells how old that is."""
        found = {name: _gauge(name) for name in _HEALTH}
        for loop in self.states:
            try:
                health, notices = read_health(self._control, loop), read_notices(self._control, loop)
            except (OSError, NewerFormat):
                log.exception("the health of %s cannot be read", loop)
                continue
            if health is not None:
                for name, labels, value in _health_samples(health, notices):
                    found[name].add_metric((loop, *labels), value)
        yield from found.values()

    def _read(self, loop: str) -> dict[str, LatestReport]:
        try:
            return newest_reports(self._control, loop)
        except OSError:
            log.exception("the newest reports of %s cannot be read", loop)
            return {}


# report -> metric of its values, metric of their limits
_REPORTS = {kind.asset: kind.metrics for kind in REPORT_KINDS.values() if kind.asset and kind.metrics}


def _intervals(loop: LoopConfig) -> dict[str, float]:
    """Seconds between two reports by their schedule, at most; nothing where they are made by hand."""
    if not loop.automation:
        return {}
    live = {str(kind.asset): longest_pause(loop.monitors.every) for kind in REPORT_KINDS.values() if kind.monitor}
    return live | {"drift_report": longest_pause(loop.retrain_on.drift.every)}


_HEALTH = (
    "ftassets_health_timestamp_seconds",
    "ftassets_concern",
    "ftassets_last_request_timestamp_seconds",
    "ftassets_longest_pause_seconds",
    "ftassets_new_labels",
    "ftassets_labels_per_day",
    "ftassets_feedback_per_day",
    "ftassets_retrains_in_quarter",
    "ftassets_trigger_waits_timestamp_seconds",
    "ftassets_release_waits_timestamp_seconds",
    "ftassets_report_next_timestamp_seconds",
    "ftassets_report_unmeasured_timestamp_seconds",
)


def _health_samples(health: Health, notices: Notices) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Metric, labels after the loop, and value, of what is known."""
    yield "ftassets_health_timestamp_seconds", (), health.at
    for each in health.concerns:
        known = notices.open.get(each.key)
        acknowledged = "true" if known is not None and known.acknowledged else "false"
        yield "ftassets_concern", (each.subject, each.detail, each.severity, acknowledged), 1
    values: dict[str, float | None] = {
        "ftassets_last_request_timestamp_seconds": health.traffic.last_at,
        "ftassets_longest_pause_seconds": health.traffic.longest_pause,
        "ftassets_feedback_per_day": health.feedback.feedback_per_day if health.feedback else None,
    }
    if trigger := health.trigger:
        values |= {
            "ftassets_new_labels": trigger.new_labels,
            "ftassets_labels_per_day": trigger.labels_per_day,
            "ftassets_retrains_in_quarter": trigger.retrains_in_quarter,
        }
        if trigger.since is not None:
            yield "ftassets_trigger_waits_timestamp_seconds", (trigger.trigger or "", trigger.cause), trigger.since
    if (release := health.release) and release.cause:
        yield "ftassets_release_waits_timestamp_seconds", (release.version[:12], release.cause), release.at
    for monitor in health.monitors:
        for name, at in (("next", monitor.next_at), ("unmeasured", monitor.unmeasured_since)):
            if at is not None:
                yield f"ftassets_report_{name}_timestamp_seconds", (monitor.name,), at
    yield from ((name, (), value) for name, value in values.items() if value is not None)


class _Families:
    """Values of one kind of report and their limits."""

    def __init__(self, values: str, limits: str) -> None:
        self.values = _gauge(values)
        self.limits = _gauge(limits)

    def add(self, loop: str, report: LatestReport) -> None:
        for family, found in ((self.values, report.values), (self.limits, report.limits)):
            for name, value in found.items():
                family.add_metric((loop, (report.version or "")[:12], name), value)


def _gauge(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, FAMILIES[name].meaning, labels=FAMILIES[name].labels)
