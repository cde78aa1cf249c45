"""Alerts in the log."""

import json
import logging
from dataclasses import replace

import pytest

from ftassets.backends.notifier.console import ConsoleNotifier
from ftassets.testing.contracts.notifier import ALERT


def test_console_writes_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ftassets.notices"):
        ConsoleNotifier().notify(replace(ALERT, severity="page"))
    (record,) = caplog.records
    prefix, _, body = record.getMessage().partition(" ")
    assert (prefix, record.levelno, "\n" in body) == ("notice", logging.ERROR, False)
    assert json.loads(body) == {
        "loop": "voice", "title": "gate refused", "text": "exact_match\nfell 100 %", "severity": "page",
        "runbook": "https://wiki/runbook#refused", "key": "voice:refused", "resolved": False,
    }  # fmt: skip
