"""What every notifier must do; another backend joins by a line in BACKENDS."""

import json
import logging
from collections.abc import Callable

import pytest

from ftassets.resources.notifier.base import Notifier
from ftassets.resources.notifier.console import ConsoleNotifier

BACKENDS: dict[str, Callable[[], Notifier]] = {"console": ConsoleNotifier}


@pytest.fixture(params=BACKENDS)
def notifier(request: pytest.FixtureRequest) -> Notifier:
    return BACKENDS[request.param]()


@pytest.mark.parametrize("severity", ["info", "ticket", "page", "no such severity"])
@pytest.mark.parametrize("text", ["", "two\nlines", "\ud800", "100 % {}"])
def test_never_raises(notifier: Notifier, severity: str, text: str) -> None:
    notifier.notify("voice", "refused", text, severity)


def test_console_writes_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ftassets.notices"):
        ConsoleNotifier().notify("voice", "gate refused", "exact_match\nfell 100 %", "page")
    (record,) = caplog.records
    prefix, _, body = record.getMessage().partition(" ")
    assert (prefix, record.levelno, "\n" in body) == ("notice", logging.ERROR, False)
    assert json.loads(body) == {"loop": "voice", "title": "gate refused", "text": "exact_match\nfell 100 %", "severity": "page"}


def test_console_survives_what_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    ConsoleNotifier().notify("voice", "refused", "half a pair: \ud800", "page")
    assert "could not be written" in caplog.text
