"""Where a loop's alerts go: the log always, and each address its `notify` section names, without repeating itself."""

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from ftassets.backends.control.alerts import Sent, read_sent, update_sent
from ftassets.backends.control.base import Control
from ftassets.backends.control.health import read_notices
from ftassets.backends.notifier.alertmanager import AlertmanagerNotifier
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.http import HttpNotifier
from ftassets.backends.notifier.slack import SlackNotifier
from ftassets.backends.notifier.webhook import WebhookNotifier
from ftassets.config.loop import LoopConfig, Notify
from ftassets.domain.health.subjects import RANK, SUBJECTS

_LOG = logging.getLogger("ftassets.notices")
QUIET = 6 * 3600.0  # seconds in which the same alert is not repeated


class RoutingNotifier(Notifier):
    """Tells `always` each time, and each address once per key in `QUIET` seconds, or at once when the severity has risen.

    After a resolved alert the next one of its key is news. What a person silenced goes to `always` alone, and does not count as told.

    What was told is remembered in `control`, by address: one that could not be reached gets the next alert of that key.
    """

    def __init__(
        self, control: Control, notify: Notify, always: Notifier, clock: Callable[[], float] = time.time, pause: float = 1.0
    ) -> None:
        """`pause` in seconds before an address that does not answer is tried again."""
        self._control = control
        self._notify = notify
        self._always = always
        self._clock = clock
        self._pause = pause

    def notify(self, alert: Alert) -> bool:
        told = self._always.notify(alert)
        try:
            if not alert.resolved and self._silenced(alert):
                return False
            channels, complete = self._channels()
            known = self._known(alert)
            due = [channel for channel in channels if not self._quiet(known.get(channel.name), alert)]
            if due:
                with ThreadPoolExecutor(len(due)) as pool:  # a silent one must not hold the others up
                    results = list(pool.map(lambda channel: channel.notify(alert), due))
                self._remember(alert, [channel.name for channel, sent in zip(due, results, strict=True) if sent])
                told = told and all(results)
            return told and complete
        except Exception as error:  # the contract; no words of an error that may hold an address
            _LOG.error("an alert could not be routed (%s)", type(error).__name__)
            return False

    def _channels(self) -> tuple[list[HttpNotifier], bool]:
        """The addresses, and whether all that are named could be found."""
        found: list[HttpNotifier] = []
        complete = True
        for name, make in ((self._notify.slack_webhook_env, SlackNotifier), (self._notify.webhook_env, WebhookNotifier)):
            if name is None:
                continue
            if url := os.environ.get(name, "").strip():
                found.append(make(url, self._pause))
            else:
                _LOG.error("alerts should go to the address in the environment variable %s, which is not set", name)
                complete = False
        if self._notify.alertmanager:
            found.append(AlertmanagerNotifier(self._notify.alertmanager, self._pause))
        return found, complete

    def _silenced(self, alert: Alert) -> bool:
        try:
            return read_notices(self._control, alert.loop).silenced(alert.concern, self._clock())
        except (OSError, ValueError) as error:
            _LOG.error("what was silenced cannot be read (%s)", error)
            return False

    def _quiet(self, last: tuple[float, int] | None, alert: Alert) -> bool:
        return last is not None and 0 <= self._clock() - last[0] < QUIET and RANK.get(alert.severity, 1) <= last[1]

    def _known(self, alert: Alert) -> dict[str, tuple[float, int]]:
        """When, and how severe, each address was told of this key last."""
        try:
            sent = read_sent(self._control, alert.loop)
        except (OSError, ValueError, TypeError) as error:
            _LOG.error("which alerts were sent cannot be read (%s): they may be repeated", error)
            return {}
        return {each.channel: (each.at, each.rank) for each in sent if each.key == _remembered(alert)}

    def _remember(self, alert: Alert, channels: list[str]) -> None:
        """What cannot be written only means that an alert is repeated."""
        now = self._clock()

        def change(known: list[Sent]) -> list[Sent]:
            both = (_remembered(alert), _remembered(replace(alert, resolved=not alert.resolved)))
            kept = [each for each in known if 0 <= now - each.at < QUIET and not (each.channel in channels and each.key in both)]
            return kept + [Sent(channel, _remembered(alert), now, RANK.get(alert.severity, 1)) for channel in channels]

        try:
            update_sent(self._control, alert.loop, change)
        except OSError as error:
            _LOG.error("which alerts were sent could not be written down (%s): they may be repeated", error)


def _remembered(alert: Alert) -> str:
    return f"{alert.key}:resolved" if alert.resolved else alert.key


def routed(control: Control, loop: LoopConfig, always: Notifier) -> RoutingNotifier:
    """The notifier of a loop; `always` receives every alert, in addition to the loop's own notifiers."""
    return RoutingNotifier(control, loop.notify, always)


def alert_about(loop: LoopConfig, subject: str, title: str, text: str, detail: str = "", resolved: bool = False) -> Alert:
    """An alert about one of `SUBJECTS`, with its severity; `detail` tells two of the same subject apart."""
    base = loop.notify.runbook
    runbook = None if base is None else base if "#" in base else f"{base}#{subject}"
    key = ":".join(filter(None, [loop.name, subject, detail]))
    return Alert(loop.name, title, text, SUBJECTS[subject].severity, runbook, key, resolved)
