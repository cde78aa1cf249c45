"""What one version's server does is no matter of the others."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.backends.serving.base import Refused, ServingError
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.conftest import LOOPS, Running


class SlowToWarm:
    """Engines as the stub; those of versions in `hanging` answer no request until they are taken out."""

    def __init__(self) -> None:
        self.hanging: set[str] = set()
        self.asked = threading.Event()

    def app(self, folder: Path) -> ASGIApp:
        stub = stub_engine()(folder)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if folder.name in self.hanging and scope["path"] != "/health":
                self.asked.set()
                while folder.name in self.hanging:
                    await asyncio.sleep(0.02)
            await stub(scope, receive, send)

        return app


@pytest.fixture
def engines() -> SlowToWarm:
    return SlowToWarm()


@pytest.fixture
def host(engines: SlowToWarm) -> Iterator[ThreadHost]:
    host = ThreadHost(engines.app)
    yield host
    host.close()


def test_production_is_started_again_while_another_version_warms_up(serving_a: Running, engines: SlowToWarm) -> None:
    production = str(serving_a.serving.state("support").production)
    candidate = released(serving_a.home, "b")
    engines.hanging.add(candidate)
    with ThreadPoolExecutor(1) as pool:
        start = pool.submit(serving_a.start, candidate, 20)
        assert engines.asked.wait(10)
        serving_a.host.kill(production)
        began = time.monotonic()
        while serving_a.ask().status_code != 200:
            assert time.monotonic() - began < 6, "the first request of another version may take a minute"
            time.sleep(0.05)
        assert not start.done()
        engines.hanging.clear()
        start.result(30)
    assert serving_a.serving.state("support").weights == {production: 80, candidate: 20}


def test_users_of_a_candidate_whose_server_is_dead_get_production_marked(
    serving_a: Running, engines: SlowToWarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftassets.gateway.fleet.TRY_AGAIN", 0.5)
    production, candidate = str(serving_a.serving.state("support").production), released(serving_a.home, "b")
    serving_a.start(candidate, 50)
    user = next(f"u{n}" for n in range(100) if serving_a.ask(user=f"u{n}").headers["x-ftassets-version"] == candidate)
    before = len(serving_a.rows())

    def fails(folder: Path) -> ASGIApp:
        raise OSError("no memory")

    make_app, serving_a.host.make_app = serving_a.host.make_app, fails
    serving_a.host.kill(candidate)
    until = time.monotonic() + 10
    while "x-ftassets-fallback-for" not in (reply := serving_a.ask("hello", user=user)).headers:
        assert time.monotonic() < until, reply.text
        time.sleep(0.02)
    for stream in (False, True):
        reply = serving_a.ask("hello", user=user, stream=stream)
        assert (reply.status_code, reply.headers["x-ftassets-version"]) == (200, production)
        assert reply.headers["x-ftassets-fallback-for"] == candidate
    assert [(row.version, row.weight, row.status) for row in serving_a.rows()[before:]][-2:] == [(production, 0.0, 200)] * 2
    said = serving_a.client.get("/health")
    assert (said.status_code, said.json()["status"], said.json()["loops"]) == (200, "degraded", {"support": True})
    while True:
        try:
            serving_a.serving.renew("support", 60)
        except Refused as error:
            assert "does not answer (no memory)" in str(error)  # noqa: PT017
            break
        assert time.monotonic() < until
    serving_a.host.make_app = make_app
    while serving_a.ask("hello", user=user).headers["x-ftassets-version"] != candidate:
        assert time.monotonic() < until + 10
        time.sleep(0.05)
    assert serving_a.serving.renew("support", 60).weight == 50


def test_a_candidate_whose_server_does_not_come_back_is_rolled_back(serving_a: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    production, candidate = str(serving_a.serving.state("support").production), released(serving_a.home, "b")
    serving_a.start(candidate, 50, lease=1e6)

    def fails(folder: Path) -> ASGIApp:
        raise OSError("no memory")

    serving_a.host.make_app = fails
    serving_a.host.kill(candidate)
    until = time.monotonic() + 10
    while serving_a.serving.health()["versions"][candidate]["ready"]:
        assert time.monotonic() < until
    time.sleep(2.2)  # two looks of the router
    serving_a.clock.now += LOOPS["support"].rollout.server_patience - 0.1
    time.sleep(1.2)
    assert serving_a.serving.state("support").candidate == candidate, "its patience is not over"
    serving_a.clock.now += 0.2
    while next(iter(serving_a.serving.newest("support", 1))).action != "rollback":  # in effect before it is written
        assert time.monotonic() < until
        time.sleep(0.02)
    [last] = serving_a.serving.newest("support", 1)
    assert (last.action, last.by) == ("rollback", "gateway")
    assert last.reason == "the candidate's model server has not answered for 3.0 min while production's does: no memory"
    state = serving_a.serving.state("support")
    assert (state.production, state.rejected, state.weights) == (production, (candidate,), {production: 100})
    assert {serving_a.ask(user=f"u{n}").headers["x-ftassets-version"] for n in range(10)} == {production}


def test_why_a_server_failed_is_said_while_it_is_started_once_more(
    serving_a: Running, engines: SlowToWarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftassets.gateway.fleet.TRY_AGAIN", 0.5)
    candidate = released(serving_a.home, "b")
    serving_a.start(candidate, 50, lease=1e6)

    def fails(folder: Path) -> ASGIApp:
        raise OSError("no memory")

    def said() -> str:
        return str(serving_a.serving.health()["versions"][candidate].get("why"))

    make_app, serving_a.host.make_app = serving_a.host.make_app, fails
    serving_a.host.kill(candidate)
    until = time.monotonic() + 10
    while said() != "no memory":
        assert time.monotonic() < until
        time.sleep(0.02)
    engines.hanging.add(candidate)
    serving_a.host.make_app = make_app
    while said() != "its server is starting again after: no memory":
        assert time.monotonic() < until
        time.sleep(0.02)
    engines.hanging.clear()
    while not serving_a.serving.health()["versions"][candidate]["ready"]:
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_nobody_foresaw_with_one_version_stops_no_other(serving_a: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = released(serving_a.home, "b")

    def fails(folder: Path) -> ASGIApp:
        raise LookupError("a bug")

    make_app, serving_a.host.make_app = serving_a.host.make_app, fails
    with pytest.raises(ServingError, match="LookupError: see the gateway's log"):
        serving_a.start(candidate, 50)
    serving_a.host.make_app = make_app
    serving_a.host.kill(str(serving_a.serving.state("support").production))
    until = time.monotonic() + 10
    while serving_a.ask().status_code != 200:
        assert time.monotonic() < until, "production is still watched"


def test_health_is_of_a_loop_and_the_gateway_lives_whatever_its_models_do(gateway: Running) -> None:
    assert gateway.client.get("/readyz").status_code == gateway.client.get("/livez").status_code == 200, "no version yet"
    production = released(gateway.home, "a")
    gateway.start(production)
    other = released(gateway.home, "c", loop="other")
    gateway.serving.start("other", other, 100, 60, "test", "because")
    gateway.host.kill(production)

    def fails(folder: Path) -> ASGIApp:
        raise OSError("no memory")

    gateway.host.make_app = fails
    until = time.monotonic() + 10
    while gateway.client.get("/health").status_code == 200:
        assert time.monotonic() < until
    codes = {path: gateway.client.get(path).status_code for path in ("/health?loop=support", "/health?loop=other", "/livez", "/readyz")}
    assert codes == {"/health?loop=support": 503, "/health?loop=other": 200, "/livez": 200, "/readyz": 200}
    assert gateway.client.get("/health?loop=none").status_code == 404
    gateway.host.kill(other)
    while gateway.client.get("/readyz").status_code == 200:
        assert time.monotonic() < until
    assert gateway.client.get("/livez").status_code == 200
