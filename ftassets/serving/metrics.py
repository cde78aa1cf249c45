"""What `/metrics` shows, by loop and version."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ftassets.domain.endpoint import EndpointState
from ftassets.resources.traffic_log.base import Exchange

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64)
_BY = ("loop", "version")


class Metrics:
    """Prometheus metrics of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("ftassets_requests", "Requests that a version was to answer.", (*_BY, "status"), registry=self._registry)
        self._rejected = Counter("ftassets_rejected", "Requests no version was asked for.", ("status",), registry=self._registry)
        self._latency = Histogram("ftassets_latency_seconds", "Time to the last byte.", _BY, buckets=_SECONDS, registry=self._registry)
        self._first = Histogram("ftassets_first_token_seconds", "Time to first token.", _BY, buckets=_SECONDS, registry=self._registry)
        self._tokens = Counter("ftassets_tokens", "Tokens as the engine counted them.", (*_BY, "direction"), registry=self._registry)
        self._weight = Gauge("ftassets_weight_percent", "Share of traffic.", _BY, registry=self._registry)

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

    def render(self, states: Mapping[str, EndpointState]) -> bytes:
        """The text format, with the weights as they are now."""
        self._weight.clear()
        for loop, state in states.items():
            for version, share in state.weights.items():
                self._weight.labels(loop, version[:12]).set(share)
        return generate_latest(self._registry)
