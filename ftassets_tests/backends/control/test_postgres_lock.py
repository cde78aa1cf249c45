"""A lock outlives its connections and the server; who is not there any more does not hold it for long."""

import threading
import time

import pytest

from ftassets.backends.control import postgres_lock
from ftassets.backends.control.base import ControlUnreachable, Locked
from ftassets.backends.control.postgres import PostgresControl
from ftassets.testing.postgres_server import PostgresServer

KEY = "gateway/support.staging"


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.account()


@pytest.mark.parametrize("kill", [True, False])
def test_a_lock_is_held_on_when_its_server_was_started_again(url: str, postgres: PostgresServer, kill: bool) -> None:
    mine, other = PostgresControl(url), PostgresControl(url)
    with mine.lock(KEY):
        postgres.kill() if kill else postgres.stop()
        postgres.start()
        with pytest.raises(Locked), other.lock(KEY, timeout=postgres_lock.FREE_AFTER + 1.5):
            pass
    with other.lock(KEY, timeout=0):
        pass


def test_who_waits_gets_it_at_once_when_it_is_free(url: str) -> None:
    got: list[float] = []

    def wait() -> None:
        with PostgresControl(url).lock(KEY, timeout=10):
            got.append(time.monotonic())

    with PostgresControl(url).lock(KEY):
        thread = threading.Thread(target=wait)
        thread.start()
        time.sleep(0.5)
        assert not got
    freed = time.monotonic()
    thread.join()
    assert got[0] - freed < 1.0


def test_who_could_not_sign_in_time_is_told_at_the_end(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_lock, "SIGNED_EVERY", 1.0)
    monkeypatch.setattr(postgres_lock, "FREE_AFTER", 0.4)  # as if it had been cut off for longer
    first, second = PostgresControl(url), PostgresControl(url)
    with pytest.raises(ControlUnreachable, match="was lost while it was held"), first.lock(KEY), second.lock(KEY, timeout=5):
        time.sleep(1.5)
    with PostgresControl(url).lock(KEY, timeout=0):
        pass
