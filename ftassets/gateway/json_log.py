"""The gateway's log as JSON, one object a line, with a line for each request. No line holds a text of a user or of a model."""

import json
import logging
import time

from ftassets.backends.traffic_log.base import Exchange

FORMAT = "FTASSETS_LOG_FORMAT"
REQUESTS = logging.getLogger(f"{__name__}.requests")


class JsonLines(logging.Formatter):
    """Time (UTC, ISO 8601), level, logger, message, and the fields of a request."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"at": at, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line | getattr(record, "fields", {}), ensure_ascii=False)


def log_to_stderr(as_json: bool) -> None:
    """Log from INFO on; requests only as JSON, since Prometheus and the traffic log have them anyway."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    REQUESTS.setLevel(logging.INFO if as_json else logging.WARNING)


def log_request(exchange: Exchange, trace: str | None) -> None:
    """One line for a request whose row is stored; texts, and errors that may quote them, are left out."""
    if not REQUESTS.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": exchange.id,
        "loop": exchange.loop,
        "version": exchange.version,
        "status": exchange.status,
        "latency_ms": round(exchange.latency_ms, 3),
        "first_token_ms": exchange.first_token_ms and round(exchange.first_token_ms, 3),
        "tokens_in": exchange.tokens_in,
        "tokens_out": exchange.tokens_out,
        "well_formed": exchange.well_formed,
        "weight": exchange.weight,
        "user": exchange.user or None,
        "client": exchange.client,
        "trace_id": trace and trace.split("-")[1],
    }
    REQUESTS.info("request", extra={"fields": fields})
