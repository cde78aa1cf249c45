"""Alerts as JSON to any address."""

from collections.abc import Iterator

import pytest

from ftassets.backends.notifier.base import Alert
from ftassets.backends.notifier.webhook import WebhookNotifier
from ftassets.testing.contracts.notifier import ALERT
from ftassets.testing.doubles.http import Receiver, receiver


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_a_webhook_gets_the_fields(there: Receiver) -> None:
    WebhookNotifier(there.url).notify(ALERT)
    body = there.received[0].body
    assert body.pop("at") > 1e9
    assert Alert(**body) == ALERT
