"""Alerts to Prometheus Alertmanager, API v2 (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from ftassets.backends.notifier.base import Alert
from ftassets.backends.notifier.http import HttpNotifier
from ftassets.domain.health.subjects import RANK

EVENTS = frozenset({"promotion-refused"})  # subjects that happen at one time, and are never over
SHOWN = timedelta(hours=1)  # how long an event fires: longer than Alertmanager waits for others of its group
UNTIL_RESOLVED = timedelta(days=365)


class AlertmanagerNotifier(HttpNotifier):
    """One alert, identified by its labels: its name is the subject, in the form of Prometheus's rules.

    It fires until the resolved alert with the same labels ends it; an event, which is never over, for an hour.
    """

    name = "alertmanager"

    def __init__(self, url: str, pause: float = 1.0) -> None:
        """`url` is the base of an Alertmanager, for example http://127.0.0.1:9093."""
        super().__init__(url.rstrip("/") + "/api/v2/alerts", pause)

    def body(self, alert: Alert) -> Any:
        now = datetime.now(UTC)
        annotations = {"summary": alert.title, "description": alert.text}
        if alert.runbook:
            annotations["runbook_url"] = alert.runbook
        end = now if alert.resolved else now + (SHOWN if alert.subject in EVENTS else UNTIL_RESOLVED)
        times = {"endsAt": end.isoformat()} | ({} if alert.resolved else {"startsAt": now.isoformat()})
        # who tells that something is over need not know how severe it was; an end of what never fired is told to nobody
        return [
            {"labels": labels_of(alert, severity), "annotations": annotations, **times}
            for severity in (RANK if alert.resolved else [alert.severity])
        ]


def labels_of(alert: Alert, severity: str) -> dict[str, str]:
    """What identifies the alert in Alertmanager."""
    labels = {"alertname": alertname(alert.subject), "loop": alert.loop, "severity": severity, "about": alert.detail}
    return {name: value for name, value in labels.items() if value}


def alertname(subject: str) -> str:
    """The name of alerts about a subject: `RunFailed` for run-failed."""
    return "".join(word.capitalize() for word in subject.split("-"))
