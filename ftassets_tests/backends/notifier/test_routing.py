"""Where an alert goes, and when it is not repeated."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ftassets.backends.control.health import update_notices
from ftassets.backends.notifier.base import Alert, Notifier
from ftassets.backends.notifier.console import ConsoleNotifier
from ftassets.backends.notifier.routing import QUIET, RoutingNotifier, alert_about
from ftassets.config.home import Home
from ftassets.config.loop import Notify
from ftassets.config.profiles import control
from ftassets.domain.health.notices import Said
from ftassets.testing.contracts.notifier import ALERT
from ftassets.testing.doubles.http import Receiver, receiver
from ftassets.testing.releases import loop_config


def routing(url: str, home: Home, clock: Callable[[], float] = lambda: 0.0) -> RoutingNotifier:
    return RoutingNotifier(control(home), Notify(alertmanager=url), ConsoleNotifier(), clock, pause=0.01)


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


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


def test_what_is_resolved_is_told_once_and_may_come_back_at_once(there: Receiver, home: Home) -> None:
    def tell(alert: Alert) -> bool:
        there.received.clear()
        assert routing(there.url, home).notify(alert)
        return bool(there.received)

    over = replace(ALERT, resolved=True)
    assert [tell(each) for each in (ALERT, ALERT, over, over, ALERT, ALERT, over)] == [True, False, True, False, True, False, True]


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
    ("base", "link"),
    [(None, None), ("https://wiki/page", "https://wiki/page#drift-alarm"), ("https://wiki/page#all", "https://wiki/page#all")],
)
def test_an_alert_links_its_section_of_the_runbook(base: str | None, link: str | None) -> None:
    loop = loop_config("support").model_copy(update={"notify": Notify(runbook=base)})
    alert = alert_about(loop, "drift-alarm", "title", "text", "detail")
    assert (alert.runbook, alert.key, alert.loop, alert.severity) == (link, "support:drift-alarm:detail", "support", "ticket")


@pytest.mark.parametrize("key", ["golden-below-floor", "quality-drop:judged", "quality-drop"])
def test_what_a_person_silenced_is_not_sent_and_is_news_when_that_is_over(there: Receiver, home: Home, key: str) -> None:
    clock = Clock()
    update_notices(control(home), "voice", lambda known: known.silence(key, clock.now + 60, Said(by="anna", at=clock.now, reason="known")))
    alert = replace(ALERT, key=f"voice:{key if ':' in key else f'{key}:more'}")
    router = routing(there.url, home, clock)
    assert not router.notify(alert), "who sends it tries again"
    assert there.received == []
    assert router.notify(replace(alert, resolved=True)), "an end is no noise"
    assert router.notify(replace(alert, key="voice:run-failed"))
    clock.now += 60
    assert router.notify(alert)
    assert len(there.received) == 3
