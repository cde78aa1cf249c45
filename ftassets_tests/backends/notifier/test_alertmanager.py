"""Alerts in Alertmanager's API."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from ftassets.backends.notifier.alertmanager import AlertmanagerNotifier
from ftassets.testing.contracts.notifier import ALERT
from ftassets.testing.doubles.http import Receiver, receiver


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_alertmanager_gets_an_alert_of_its_api_that_ends_by_itself(there: Receiver) -> None:
    AlertmanagerNotifier(there.url + "/", 60).notify(ALERT)
    (request,) = there.received
    assert request.path == "/api/v2/alerts"
    (alert,) = request.body
    assert alert["labels"] == {"alertname": "ftassets", "loop": "voice", "severity": "ticket", "key": "voice:refused"}
    assert alert["annotations"]["runbook_url"] == ALERT.runbook
    lasts = datetime.fromisoformat(alert["endsAt"]) - datetime.fromisoformat(alert["startsAt"])
    assert lasts == timedelta(seconds=60)
    assert datetime.fromisoformat(alert["startsAt"]).tzinfo is not None
