"""What only a database can show: it goes away, breaks off a change, and is used by many at once."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pg8000.exceptions import InterfaceError

from ftassets.backends.control.base import ControlUnreachable, ControlUnusable, Locked
from ftassets.backends.control.files import FilesControl
from ftassets.backends.control.postgres import PostgresControl
from ftassets.backends.postgres.pool import Link
from ftassets.config.home import Home
from ftassets.config.profiles import CONTROL_URL, control
from ftassets.errors import ConfigurationError, ServerUnreachable
from ftassets.testing.contracts.control import KEY, LOG, counted
from ftassets.testing.postgres_server import PostgresServer
from ftassets_tests.backends.traffic_log.test_postgres import wait_until


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.account()


def breaking(monkeypatch: pytest.MonkeyPatch, statement: str, before: bool) -> list[str]:
    """The first run of a statement breaks its connection, before or after the server has done it; what broke."""
    run, broke = Link.run, list[str]()

    def once(self: Link, said: str, **params: object) -> list[list[object]]:
        hit = statement in said and not broke
        if hit and before:
            broke.append(said)
            raise InterfaceError("network error")
        found = run(self, said, **params)
        if hit:
            broke.append(said)
            raise InterfaceError("network error")
        return found

    monkeypatch.setattr(Link, "run", once)
    return broke


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("statement", ["COMMIT", "INSERT INTO control_document"])
def test_a_change_whose_acknowledgement_is_lost_is_made_once(
    url: str, monkeypatch: pytest.MonkeyPatch, statement: str, before: bool
) -> None:
    store = PostgresControl(url)
    store.update(KEY, counted)
    broke = breaking(monkeypatch, statement, before)
    store.update(KEY, counted)
    assert (store.read(KEY), len(broke)) == (b"2", 1)


@pytest.mark.parametrize("before", [True, False])
def test_a_line_whose_acknowledgement_is_lost_is_there_once(url: str, monkeypatch: pytest.MonkeyPatch, before: bool) -> None:
    store = PostgresControl(url)
    store.append(LOG, b"first")
    broke = breaking(monkeypatch, "INSERT INTO control_line", before)
    store.append(LOG, b"second")
    assert (store.lines(LOG), len(broke)) == ([b"first", b"second"], 1)


def test_what_a_change_raises_is_passed_on_also_if_it_looks_like_a_broken_connection(url: str) -> None:
    calls = []

    def change(content: bytes | None) -> bytes:
        calls.append(content)
        raise ConnectionError("of another server")

    with pytest.raises(ConnectionError, match="of another server"):
        PostgresControl(url).update(KEY, change)
    assert calls == [None]


def test_a_thousand_changes_of_many_lose_nothing(url: str) -> None:
    stores = [PostgresControl(url) for _ in range(4)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: stores[number % 4].update(KEY, counted), range(1000)))
    assert stores[0].read(KEY) == b"1000"


def test_an_update_waits_for_another_as_long_as_it_is_told(url: str) -> None:
    store, begun, end = PostgresControl(url), threading.Event(), threading.Event()

    def slow(content: bytes | None) -> bytes:
        begun.set()
        assert end.wait(30)
        return b"slow"

    thread = threading.Thread(target=store.update, args=(KEY, slow))
    thread.start()
    assert begun.wait(10)
    for timeout in (0.0, 0.2):
        with pytest.raises(Locked, match="changed by another process"):
            store.update(KEY, counted, timeout)
    store.update("reports/other/latest.json", counted, 0.0)
    end.set()
    thread.join()
    assert store.read(KEY) == b"slow"


def test_while_its_server_is_killed_nothing_acknowledged_is_lost(postgres: PostgresServer) -> None:
    store = PostgresControl(postgres.account())
    store.append(LOG, b"0")
    acknowledged, stop, refused = [b"0"], threading.Event(), threading.Event()

    def write() -> None:
        number = 1
        while not stop.is_set():
            try:
                store.append(LOG, b"%d" % number)
            except ControlUnreachable:
                refused.set()
                time.sleep(0.01)
            else:
                acknowledged.append(b"%d" % number)
                number += 1

    thread = threading.Thread(target=write)
    thread.start()
    wait_until(lambda: len(acknowledged) > 50)
    postgres.kill()
    assert refused.wait(10)
    before = len(acknowledged)
    postgres.start()
    wait_until(lambda: len(acknowledged) > before + 50)
    stop.set()
    thread.join()
    lines = store.lines(LOG)
    assert set(acknowledged) <= set(lines)
    assert sorted(lines, key=int) == lines


def test_a_server_that_is_away_is_an_error_of_the_system_and_says_what_to_check() -> None:
    store = PostgresControl("postgresql://me@127.0.0.1:1/db")
    for act in (lambda: store.read(KEY), lambda: store.append(LOG, b"x"), lambda: store.lock("gateway/one").__enter__()):
        with pytest.raises(
            OSError, match=r"the server of control at 127.0.0.1:1/db cannot be used .* FTASSETS_CONTROL_URL is right"
        ) as error:
            act()
        assert isinstance(error.value, ServerUnreachable)


def test_tables_of_a_newer_release_and_a_user_who_may_make_none_are_refused(url: str, postgres: PostgresServer) -> None:
    PostgresControl(url).write(KEY, b"x")
    user = url.split("//")[1].split(":")[0]
    with postgres.administrator() as administrator:
        administrator.run(f"UPDATE {user}.control_schema SET version = 99")
        with pytest.raises(ControlUnusable, match="has control schema 99"):
            PostgresControl(url).read(KEY)
        other = postgres.account()
        name = other.split("//")[1].split(":")[0]
        administrator.run(f"REVOKE CREATE ON SCHEMA {name} FROM {name}; ALTER SCHEMA {name} OWNER TO administrator")
    with pytest.raises(ControlUnusable, match="start one process as a user who may create them"):
        PostgresControl(other).read(KEY)


def test_the_profile_and_the_url_choose_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONTROL_URL, raising=False)
    for profile in ("embedded", "production"):
        monkeypatch.setenv("FTASSETS_PROFILE", profile)
        assert type(control(Home(tmp_path))) is FilesControl
    monkeypatch.setenv(CONTROL_URL, "postgresql://me@host/db")
    assert type(control(Home(tmp_path))) is PostgresControl
    monkeypatch.setenv("FTASSETS_PROFILE", "embedded")
    with pytest.raises(ConfigurationError, match="FTASSETS_CONTROL_URL is set"):
        control(Home(tmp_path))
