"""Alerts to Slack through an incoming webhook (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks)."""

from typing import Any

from ftassets.backends.notifier.base import Alert
from ftassets.backends.notifier.http import HttpNotifier

_LONGEST = 3000  # characters of text: Slack cuts messages, and the rest is in the log


class SlackNotifier(HttpNotifier):
    """One message an alert; the webhook's URL names the channel and is a secret."""

    name = "slack"

    def body(self, alert: Alert) -> Any:
        lines = [
            f"*[{'resolved' if alert.resolved else alert.severity}] {_plain(alert.loop)}: {_plain(alert.title)}*",
            _plain(alert.text[:_LONGEST]),
        ]
        if alert.runbook:
            lines.append(f"Runbook: {_plain(alert.runbook)}")
        return {"text": "\n".join(lines)}


def _plain(text: str) -> str:
    """Text that Slack shows as it is: an answer of a model must not mention a whole channel."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
