"""Alerts to Prometheus Alertmanager, API v2 (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ftassets.backends.notifier.base import Alert
from ftassets.backends.notifier.http import HttpNotifier


class AlertmanagerNotifier(HttpNotifier):
    """One alert, identified by its labels; it fires for `lasts` seconds, because no end is sent to Alertmanager."""

    name = "alertmanager"

    def __init__(self, url: str, lasts: float, pause: float = 1.0) -> None:
        """`url` is the base of an Alertmanager, for example http://127.0.0.1:9093."""
        super().__init__(url.rstrip("/") + "/api/v2/alerts", pause)
        self._lasts = lasts

    def body(self, alert: Alert) -> Any:
        now = datetime.now(UTC)
        annotations = {"summary": alert.title, "description": alert.text}
        if alert.runbook:
            annotations["runbook_url"] = alert.runbook
        return [
            {
                "labels": {"alertname": "ftassets", "loop": alert.loop, "severity": alert.severity, "key": alert.key},
                "annotations": annotations,
                "startsAt": now.isoformat(),
                "endsAt": (now + timedelta(seconds=self._lasts)).isoformat(),
            }
        ]
