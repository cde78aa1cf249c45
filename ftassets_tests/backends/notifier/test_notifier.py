"""What every notifier must do; another backend joins by a line in BACKENDS."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.notifier.alertmanager import AlertmanagerNotifier
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.console import ConsoleNotifier
from ftassets.backends.notifier.routing import QUIET, RoutingNotifier, alert_about
from ftassets.backends.notifier.slack import SlackNotifier
from ftassets.backends.notifier.webhook import WebhookNotifier
from ftassets.config.home import Home
from ftassets.config.loop import Notify
from ftassets.config.profiles import control
from ftassets.testing.doubles.http import Receiver, receiver
from ftassets.testing.releases import loop_config

SECRET = "/services/T00/B00/s3cr3t"
ALERT = Alert("voice", "gate refused", "exact_match\nfell 100 %", "ticket", "https://wiki/runbook#refused", "voice:refused")


def routing(url: str, home: Home, clock: Callable[[], float] = lambda: 0.0) -> RoutingNotifier:
    return RoutingNotifier(control(home), Notify(alertmanager=url), ConsoleNotifier(), clock, pause=0.01)


BACKENDS: dict[str, Callable[[str, Home], Notifier]] = {
    "console": lambda url, home: ConsoleNotifier(),
    "slack": lambda url, home: SlackNotifier(url + SECRET, pause=0.01),
    "webhook": lambda url, home: WebhookNotifier(url + SECRET, pause=0.01),
    "alertmanager": lambda url, home: AlertmanagerNotifier(url + SECRET, 60, pause=0.01),
    "routing": lambda url, home: routing(url + SECRET, home),
}
REMOTE = [name for name in BACKENDS if name != "console"]


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("severity", ["info", "ticket", "page", "no such severity"])
@pytest.mark.parametrize("text", ["", "two\nlines", "half a pair: \ud800", "100 % {}"])
def test_tells_whatever_the_text(backend: str, severity: Any, text: str, there: Receiver, home: Home) -> None:
    assert BACKENDS[backend](there.url, home).notify(replace(ALERT, text=text, severity=severity)) is True


@pytest.mark.parametrize("backend", REMOTE)
@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "", "ftp://host", "http://[", "http://host:port", "http://a b"])
def test_an_address_that_is_none_or_does_not_answer_is_logged_without_it(
    backend: str, url: str, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert BACKENDS[backend](url, home).notify(ALERT) is False
    assert "could not be sent" in caplog.text
    assert "gate refused" in caplog.text
    assert "s3cr3t" not in caplog.text


@pytest.mark.parametrize("backend", REMOTE)
def test_no_address_is_logged_when_it_works_either(
    backend: str, there: Receiver, home: Home, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert BACKENDS[backend](there.url, home).notify(ALERT)
    assert "s3cr3t" not in caplog.text + "".join(capfd.readouterr())


@pytest.mark.parametrize("backend", REMOTE)
@pytest.mark.parametrize(
    ("statuses", "told", "tries"), [([503, 429], True, 3), ([500, 502, 503], False, 3), ([403], False, 1), ([307], False, 1), ([], True, 1)]
)
def test_a_busy_receiver_is_asked_again_and_a_refusal_or_a_redirect_is_final(
    backend: str, statuses: list[int], told: bool, tries: int, there: Receiver, home: Home
) -> None:
    there.replies = [(status, there.url if status == 307 else "no") for status in statuses]
    assert BACKENDS[backend](there.url, home).notify(ALERT) is told
    assert len(there.received) == tries


def test_console_writes_one_line_of_json(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="ftassets.notices"):
        ConsoleNotifier().notify(replace(ALERT, severity="page"))
    (record,) = caplog.records
    prefix, _, body = record.getMessage().partition(" ")
    assert (prefix, record.levelno, "\n" in body) == ("notice", logging.ERROR, False)
    assert json.loads(body) == {
        "loop": "voice", "title": "gate refused", "text": "exact_match\nfell 100 %", "severity": "page",
        "runbook": "https://wiki/runbook#refused", "key": "voice:refused",
    }  # fmt: skip


def test_slack_gets_one_text_that_mentions_nobody(there: Receiver) -> None:
    SlackNotifier(there.url + SECRET).notify(replace(ALERT, text="<!channel> a & b"))
    (request,) = there.received
    assert request.path == SECRET
    assert request.body == {"text": "*[ticket] voice: gate refused*\n&lt;!channel&gt; a &amp; b\nRunbook: https://wiki/runbook#refused"}


def test_a_webhook_gets_the_fields(there: Receiver) -> None:
    WebhookNotifier(there.url).notify(ALERT)
    body = there.received[0].body
    assert body.pop("at") > 1e9
    assert Alert(**body) == ALERT


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


# routing


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Always(Notifier):
    def __init__(self) -> None:
        self.told: list[Alert] = []

    def notify(self, alert: Alert) -> bool:
        self.told.append(alert)
        return True


def test_goes_to_the_log_each_time_and_to_all_addresses_once_in_the_quiet_period(
    there: Receiver, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK", there.url + "/slack")
    monkeypatch.setenv("HOOK", there.url + "/hook")
    notify = Notify(slack_webhook_env="SLACK", webhook_env="HOOK", alertmanager=there.url)
    always, clock = Always(), Clock()

    def tell(alert: Alert = ALERT) -> set[str]:
        """A new notifier each time, as in a new process; where the alert arrived."""
        there.received.clear()
        assert RoutingNotifier(control(home), notify, always, clock).notify(alert)
        return {request.path for request in there.received}

    everywhere = {"/slack", "/hook", "/api/v2/alerts"}
    assert tell() == everywhere
    clock.now += QUIET - 1
    assert tell() == set()
    assert tell(replace(ALERT, key="another")) == everywhere
    assert tell(replace(ALERT, loop="another")) == everywhere
    assert tell(replace(ALERT, severity="page")) == everywhere, "a higher severity does not wait"
    assert tell(replace(ALERT, severity="ticket")) == set(), "a lower one does"
    clock.now += QUIET
    assert tell() == everywhere
    assert len(always.told) == 7


def test_an_address_that_failed_gets_the_next_one_and_the_others_do_not(
    there: Receiver, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK", "http://127.0.0.1:9")
    router = RoutingNotifier(control(home), Notify(webhook_env="HOOK", alertmanager=there.url), Always(), pause=0.01)
    assert router.notify(ALERT) is False
    monkeypatch.setenv("HOOK", there.url + "/hook")
    assert router.notify(ALERT) is True
    assert [request.path for request in there.received] == ["/api/v2/alerts", "/hook"]


def test_a_variable_that_is_not_set_is_said_and_keeps_nobody_else_waiting(
    there: Receiver, home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    router = RoutingNotifier(control(home), Notify(slack_webhook_env="NOT_SET", alertmanager=there.url), Always())
    assert router.notify(ALERT) is False
    assert "NOT_SET, which is not set" in caplog.text
    assert len(there.received) == 1


@pytest.mark.parametrize("content", ["{", "[1]", '[["a", "b", "c", 1]]', "null"])
def test_a_damaged_memory_repeats_rather_than_loses(content: str, there: Receiver, home: Home) -> None:
    router = routing(there.url, home)
    router.notify(ALERT)
    (home.root / "alerts" / "voice.json").write_text(content)
    assert router.notify(ALERT)
    assert len(there.received) == 2


def test_a_memory_that_cannot_be_written_loses_no_alert(there: Receiver, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    (home.root / "alerts").write_text("a file where the folder should be")
    assert routing(there.url, home).notify(ALERT)
    assert len(there.received) == 1
    assert "may be repeated" in caplog.text


def test_what_was_told_long_ago_is_forgotten(there: Receiver, home: Home) -> None:
    clock = Clock()
    for number in range(5):
        routing(there.url, home, clock).notify(replace(ALERT, key=str(number)))
        clock.now += QUIET
    assert len(json.loads((home.root / "alerts" / "voice.json").read_bytes())) == 1


@pytest.mark.parametrize(
    ("base", "link"), [(None, None), ("https://wiki/page", "https://wiki/page#drift"), ("https://wiki/page#all", "https://wiki/page#all")]
)
def test_an_alert_links_its_section_of_the_runbook(base: str | None, link: str | None) -> None:
    loop = loop_config("support").model_copy(update={"notify": Notify(runbook=base)})
    alert = alert_about(loop, "drift", "title", "text", "info", "detail")
    assert (alert.runbook, alert.key, alert.loop) == (link, "support:drift:detail", "support")
