from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.traffic_log.base import Exchange
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.testing.releases import loop_config, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread

LOOPS = {"support": loop_config("support"), "other": loop_config("other")}


class Clock:
    """Time that a test can move."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Running:
    """A gateway with stub engines, and a client of its public side."""

    home: Home
    serving: GatewayServing
    url: str
    host: ThreadHost
    client: httpx.Client
    clock: Clock

    def ask(self, prompt: str = "hello", **fields: object) -> httpx.Response:
        """One chat request to the loop `support`."""
        body = {"model": "support", "messages": [{"role": "user", "content": prompt}], **fields}
        return self.client.post("/v1/chat/completions", json=body)

    def start(self, digest: str, weight: int = 100, lease: float = 60.0) -> None:
        """Give a version traffic."""
        self.serving.start("support", digest, weight, lease, "test", "because")

    def rows(self, loop: str = "support") -> list[Exchange]:
        """What the traffic log holds."""
        return SqliteTrafficLog(self.home.traffic_db).exchanges(loop)


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def host() -> Iterator[ThreadHost]:
    host = ThreadHost(stub_engine())
    yield host
    host.close()


@pytest.fixture
def gateway(home, host) -> Iterator[Running]:
    """A gateway in which nothing serves yet."""
    clock = Clock()
    running = run_gateway_in_thread(home, LOOPS, host, clock)
    with running as (serving, url), httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
        yield Running(home, serving, url, host, client, clock)


@pytest.fixture
def serving_a(gateway) -> Running:
    """A gateway whose loop `support` has a production version."""
    gateway.start(released(gateway.home, "a"))
    return gateway
