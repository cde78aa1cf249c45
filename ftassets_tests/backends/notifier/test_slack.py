"""Alerts in a Slack channel."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ftassets.backends.notifier.slack import SlackNotifier
from ftassets.testing.contracts.notifier import ALERT, SECRET
from ftassets.testing.doubles.http import Receiver, receiver


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


def test_slack_gets_one_text_that_mentions_nobody(there: Receiver) -> None:
    SlackNotifier(there.url + SECRET).notify(replace(ALERT, text="<!channel> a & b"))
    (request,) = there.received
    assert request.path == SECRET
    assert request.body == {"text": "*[ticket] voice: gate refused*\n&lt;!channel&gt; a &amp; b\nRunbook: https://wiki/runbook#refused"}
