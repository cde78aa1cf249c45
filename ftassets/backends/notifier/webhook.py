"""Alerts to anything that takes JSON over HTTP."""

import time
from dataclasses import asdict
from typing import Any

from ftassets.backends.notifier.base import Alert
from ftassets.backends.notifier.http import HttpNotifier


class WebhookNotifier(HttpNotifier):
    """Posts the alert's fields and `at`, the time in epoch seconds."""

    name = "webhook"

    def body(self, alert: Alert) -> Any:
        return {**asdict(alert), "at": time.time()}
