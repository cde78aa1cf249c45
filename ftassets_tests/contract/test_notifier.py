"""The contract of a notifier, on every one we have."""

from pathlib import Path

import pytest

from ftassets.backends.notifier.alertmanager import AlertmanagerNotifier
from ftassets.backends.notifier.console import ConsoleNotifier
from ftassets.backends.notifier.routing import RoutingNotifier
from ftassets.backends.notifier.slack import SlackNotifier
from ftassets.backends.notifier.webhook import WebhookNotifier
from ftassets.config.home import Home
from ftassets.config.loop import Notify
from ftassets.config.profiles import control
from ftassets.testing.contracts.notifier import AddressedNotifierContract, MakeNotifier, NotifierContract


class TestConsole(NotifierContract):
    @pytest.fixture
    def make(self) -> MakeNotifier:
        return lambda url: ConsoleNotifier()


class TestSlack(AddressedNotifierContract):
    @pytest.fixture
    def make(self) -> MakeNotifier:
        return lambda url: SlackNotifier(url, pause=0.01)


class TestWebhook(AddressedNotifierContract):
    @pytest.fixture
    def make(self) -> MakeNotifier:
        return lambda url: WebhookNotifier(url, pause=0.01)


class TestAlertmanager(AddressedNotifierContract):
    @pytest.fixture
    def make(self) -> MakeNotifier:
        return lambda url: AlertmanagerNotifier(url, pause=0.01)


class TestRouting(AddressedNotifierContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> MakeNotifier:
        return lambda url: RoutingNotifier(control(Home(tmp_path)), Notify(alertmanager=url), ConsoleNotifier(), lambda: 0.0, pause=0.01)
