"""What every notifier must do, and besides every one that sends to an address."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.testing.doubles.http import Receiver, receiver

MakeNotifier = Callable[[str], Notifier]
SECRET = "/services/T00/B00/s3cr3t"
ALERT = Alert("voice", "gate refused", "exact_match\nfell 100 %", "ticket", "https://wiki/runbook#refused", "voice:refused")


class NotifierContract:
    """Subclass it with a fixture `make`: a function that makes a notifier that tells what is behind a URL."""

    @pytest.fixture
    def make(self) -> MakeNotifier:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def there(self) -> Iterator[Receiver]:
        with receiver() as found:
            yield found

    @pytest.mark.parametrize("severity", ["info", "ticket", "page", "no such severity"])
    @pytest.mark.parametrize("text", ["", "two\nlines", "half a pair: \ud800", "100 % {}"])
    def test_tells_whatever_the_text(self, make: MakeNotifier, severity: Any, text: str, there: Receiver) -> None:
        assert make(there.url + SECRET).notify(replace(ALERT, text=text, severity=severity)) is True


class AddressedNotifierContract(NotifierContract):
    """For one that sends to the URL, which is a secret: tries three times at most, with short pauses for a test."""

    @pytest.mark.parametrize("url", ["http://127.0.0.1:9", "", "ftp://host", "http://[", "http://host:port", "http://a b"])
    def test_an_address_that_is_none_or_does_not_answer_is_logged_without_it(
        self, make: MakeNotifier, url: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            assert make(url + SECRET).notify(ALERT) is False
        assert "could not be sent" in caplog.text
        assert "gate refused" in caplog.text
        assert "s3cr3t" not in caplog.text

    def test_no_address_is_logged_when_it_works_either(
        self, make: MakeNotifier, there: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        with caplog.at_level(logging.DEBUG):
            assert make(there.url + SECRET).notify(ALERT)
        assert "s3cr3t" not in caplog.text + "".join(capfd.readouterr())

    @pytest.mark.parametrize(
        ("statuses", "told", "tries"),
        [([503, 429], True, 3), ([500, 502, 503], False, 3), ([403], False, 1), ([307], False, 1), ([], True, 1)],
    )
    def test_a_busy_receiver_is_asked_again_and_a_refusal_or_a_redirect_is_final(
        self, make: MakeNotifier, statuses: list[int], told: bool, tries: int, there: Receiver
    ) -> None:
        there.replies = [(status, there.url if status == 307 else "no") for status in statuses]
        assert make(there.url + SECRET).notify(ALERT) is told
        assert len(there.received) == tries
