"""What one version's server does is no matter of the others."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.conftest import Running


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
