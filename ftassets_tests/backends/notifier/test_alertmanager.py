"""Alerts in Alertmanager's API."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ftassets.backends.notifier.alertmanager import SHOWN, AlertmanagerNotifier
from ftassets.backends.notifier.base import Alert
from ftassets.testing.contracts.notifier import ALERT
from ftassets.testing.doubles.http import Receiver, receiver


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def sent(there: Receiver, alert: Alert) -> list[dict[str, Any]]:
    there.received.clear()
    AlertmanagerNotifier(there.url + "/").notify(alert)
    (request,) = there.received
    assert request.path == "/api/v2/alerts"
    found: list[dict[str, Any]] = request.body
    return found


def test_alertmanager_gets_an_alert_named_by_its_subject_that_lasts_until_it_is_resolved(there: Receiver) -> None:
    alert = replace(ALERT, key="voice:quality-drop:judged")
    [fired] = sent(there, alert)
    assert fired["labels"] == {"alertname": "QualityDrop", "loop": "voice", "severity": "ticket", "about": "judged"}
    assert fired["annotations"]["runbook_url"] == ALERT.runbook
    begin, end = (datetime.fromisoformat(fired[name]) for name in ("startsAt", "endsAt"))
    assert begin.tzinfo is not None
    assert end - begin > timedelta(days=100)
    ended = sent(there, replace(alert, severity="info", resolved=True))
    assert fired["labels"] in [each["labels"] for each in ended], "however severe the resolved one is"
    assert all(begin <= datetime.fromisoformat(each["endsAt"]) <= datetime.now(UTC) for each in ended)


def test_what_only_happens_ends_by_itself(there: Receiver) -> None:
    [fired] = sent(there, replace(ALERT, key="voice:promotion-refused:run"))
    assert datetime.fromisoformat(fired["endsAt"]) - datetime.fromisoformat(fired["startsAt"]) == SHOWN
