"""What `/metrics` shows: requests by loop and version, and what the newest report of each kind found."""

import logging
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ftassets.backends.control.base import Control
from ftassets.backends.control.latest import newest_reports
from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.traffic_log.base import Exchange
from ftassets.domain.monitoring.latest import LatestReport
from ftassets.domain.rollout.endpoint import EndpointState

log = logging.getLogger(__name__)

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
_BY = ("loop", "version")


class Metrics:
    """Prometheus metrics of one gateway."""

    def __init__(self, control: Control) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("ftassets_requests", "Requests that a version was to answer.", (*_BY, "status"), registry=self._registry)
        self._rejected = Counter("ftassets_rejected", "Requests no version was asked for.", ("status",), registry=self._registry)
        self._unrecorded = Counter("ftassets_unrecorded", "Requests whose row could not be stored.", _BY, registry=self._registry)
        self._latency = Histogram("ftassets_latency_seconds", "Time to the last byte.", _BY, buckets=_SECONDS, registry=self._registry)
        self._first = Histogram("ftassets_first_token_seconds", "Time to first token.", _BY, buckets=_SECONDS, registry=self._registry)
        self._tokens = Counter("ftassets_tokens", "Tokens as the engine counted them.", (*_BY, "direction"), registry=self._registry)
        self._weight = Gauge("ftassets_weight_percent", "Share of traffic.", _BY, registry=self._registry)
        self._loops = LoopCollector(control)
        self._registry.register(self._loops)

    def observe(self, exchange: Exchange) -> None:
        """Count a finished request."""
        by = (exchange.loop, exchange.version[:12])
        self._requests.labels(*by, str(exchange.status)).inc()
        self._latency.labels(*by).observe(exchange.latency_ms / 1000)
        if exchange.first_token_ms is not None:
            self._first.labels(*by).observe(exchange.first_token_ms / 1000)
        self._tokens.labels(*by, "in").inc(exchange.tokens_in or 0)
        self._tokens.labels(*by, "out").inc(exchange.tokens_out or 0)

    def rejected(self, status: int) -> None:
        """Count a request that was refused before a version was chosen."""
        self._rejected.labels(str(status)).inc()

    def unrecorded(self, exchange: Exchange) -> None:
        """Count a request that was refused since the traffic log could not be written."""
        self._unrecorded.labels(exchange.loop, exchange.version[:12]).inc()

    def render(self, states: Mapping[str, EndpointState]) -> bytes:
        """The text format, with the weights and reports as they are now."""
        self._weight.clear()
        for loop, state in states.items():
            for version, share in state.weights.items():
                self._weight.labels(loop, version[:12]).set(share)
        self._loops.states = states
        return generate_latest(self._registry)


class LoopCollector(Collector):
    """State of the loops: read from their newest reports at each scrape, so that another process may write them."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.states: Mapping[str, EndpointState] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One family a metric, for all loops."""
        production = GaugeMetricFamily("ftassets_production_info", "The version in production.", labels=_BY)
        paused = GaugeMetricFamily("ftassets_paused", "1 while a person holds the loop.", labels=("loop",))
        reported = GaugeMetricFamily("ftassets_report_timestamp_seconds", "When the newest report was made.", labels=("loop", "report"))
        verdicts = GaugeMetricFamily("ftassets_report_verdict", "1 for what the newest report says.", labels=("loop", "report", "verdict"))
        families = {report: _Families(*names) for report, names in _REPORTS.items()}
        for loop, state in self.states.items():
            if state.production:
                production.add_metric((loop, state.production[:12]), 1)
            paused.add_metric((loop,), float(pause_reason(self._control, loop) is not None))
            for name, report in self._read(loop).items():
                reported.add_metric((loop, name), report.at)
                verdicts.add_metric((loop, name, report.verdict), 1)
                if name in families:
                    families[name].add(loop, report)
        yield from (production, paused, reported, verdicts)
        for each in families.values():
            yield from (each.values, each.limits)

    def _read(self, loop: str) -> dict[str, LatestReport]:
        try:
            return newest_reports(self._control, loop)
        except OSError:
            log.exception("the newest reports of %s cannot be read", loop)
            return {}


# report -> metric of its values, metric of their limits, label of their names
_REPORTS = {
    "drift_report": ("ftassets_drift_value", "ftassets_drift_threshold", "statistic"),
    "behaviour_report": ("ftassets_behaviour_value", "ftassets_behaviour_threshold", "statistic"),
    "quality_report": ("ftassets_quality_ratio", "ftassets_quality_baseline_ratio", "measure"),
    "live_golden_report": ("ftassets_live_golden_ratio", "ftassets_live_golden_floor_ratio", "estimate"),
}


class _Families:
    """Values of one kind of report and their limits."""

    def __init__(self, values: str, limits: str, label: str) -> None:
        self.values = GaugeMetricFamily(values, "What the newest report found.", labels=(*_BY, label))
        self.limits = GaugeMetricFamily(limits, "What the newest report holds it against.", labels=(*_BY, label))

    def add(self, loop: str, report: LatestReport) -> None:
        for family, found in ((self.values, report.values), (self.limits, report.limits)):
            for name, value in found.items():
                family.add_metric((loop, (report.version or "")[:12], name), value)
