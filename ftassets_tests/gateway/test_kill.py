"""kill -9 of a real gateway process under load: every answer a client had is in the log, and the state is as it was."""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.serving.gateway_address import read_address
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.profiles import TRAFFIC_URL, traffic_log
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.test_chat import wait_until

CLIENTS = 8


class Gateway:
    """A gateway process that can be killed and started again on the same port."""

    def __init__(self, home, urls, settings=None):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._home = home
        self._command = [sys.executable, "-m", "ftassets.testing.gateway_process", json.dumps(urls), str(self.port)]
        self._command += ["support", json.dumps(settings or {})]
        self._environment = {**os.environ, "FTASSETS_HOME": str(home.root)}
        self.start()

    def start(self):
        self.process = subprocess.Popen(self._command, env=self._environment)
        wait_until(self.answers, 30)

    def answers(self) -> bool:
        assert self.process.poll() is None
        try:
            if read_address(self._home).pid != self.process.pid:  # both listeners are up before the address is written
                return False
            return httpx.get(f"{self.url}/health", trust_env=False, verify=False).status_code in (200, 503)
        except (FileNotFoundError, httpx.HTTPError):
            return False

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def gateway(home):
    host = ThreadHost(stub_engine(delay=0.01))
    digests = [released(home, "a"), released(home, "b")]
    for digest in digests:
        asyncio.run(host.start(digest, home.versions / digest))
    gateway = Gateway(home, asyncio.run(host.running()))
    serving = GatewayServing(home)
    serving.start("support", digests[0], 100, 600, "test", "first")
    serving.start("support", digests[1], 50, 600, "test", "second")
    yield gateway
    gateway.kill()
    host.close()


@contextmanager
def load(gateway: Gateway) -> Iterator[list[str]]:
    """Clients that ask all the time; the ids of the answers they have so far."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def client(number: int) -> None:
        """Counts an answer when its last byte is there, as any client would."""
        body = {"model": "support", "messages": [{"role": "user", "content": f"{number}"}], "stream": number % 2 == 0}
        with httpx.Client(base_url=gateway.url, trust_env=False, verify=False) as connection:
            while not stop.is_set():
                try:
                    reply = connection.post("/v1/chat/completions", json=body)
                except httpx.HTTPError:
                    time.sleep(0.1)
                    continue
                if reply.status_code == 200 and (not body["stream"] or reply.text.endswith("data: [DONE]\n\n")):
                    acknowledged.append(reply.headers["x-request-id"])

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_acknowledged_answers_are_rows_after_kill_9_under_load(home, gateway):
    before = GatewayServing(home).state("support")
    with load(gateway) as acknowledged:
        for _ in range(3):
            known = len(acknowledged)
            wait_until(lambda known=known: len(acknowledged) > known + 20, 30)  # it is under load, and came back
            gateway.kill()
            gateway.start()
    rows = SqliteTrafficLog(home.traffic_db).exchanges("support")
    answered = {row.id for row in rows if row.status == 200}
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= answered
    # a row may have been committed whose last byte the kill held back: at most one a client and kill
    assert len(answered) - len(acknowledged) <= 3 * CLIENTS
    assert GatewayServing(home).state("support") == before


@pytest.fixture
def shared_log(postgres, monkeypatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.setenv(TRAFFIC_URL, postgres.account())


def test_acknowledged_answers_are_rows_after_kill_9_of_gateway_and_database(home, postgres, shared_log, gateway):
    with load(gateway) as acknowledged:
        wait_until(lambda: len(acknowledged) > 20, 20)
        gateway.kill()
        gateway.start()
        known = len(acknowledged)
        wait_until(lambda: len(acknowledged) > known + 20, 20)
        postgres.kill()
        known = len(acknowledged)
        time.sleep(0.3)
        assert len(acknowledged) - known <= CLIENTS, "answers went on without a log"
        postgres.start()
        wait_until(lambda: len(acknowledged) > known + 20 + CLIENTS, 20)
    answered = {row.id for row in traffic_log(home).exchanges("support") if row.status == 200}
    assert len(set(acknowledged)) == len(acknowledged)
    assert set(acknowledged) <= answered


def test_sigterm_ends_the_gateway_after_the_answers_it_owes(home, gateway):
    replies = []
    body = {"model": "support", "messages": [{"role": "user", "content": "wait 1"}]}
    asking = threading.Thread(target=lambda: replies.append(httpx.post(f"{gateway.url}/v1/chat/completions", json=body, trust_env=False)))
    asking.start()
    time.sleep(0.4)
    gateway.process.terminate()
    asking.join()
    assert gateway.process.wait(10) == 0
    assert replies[0].status_code == 200
    gateway.start()


def test_a_gateway_that_cannot_write_its_log_says_so_before_anybody_asks_and_after_it_can(gateway):
    def found() -> tuple[int, bool, int, str]:
        with httpx.Client(base_url=gateway.url, trust_env=False, verify=False) as client:
            health, ready, metrics = (client.get(path) for path in ("/health", "/readyz", "/metrics"))
        line = next(line for line in metrics.text.splitlines() if line.startswith("ftassets_traffic_log_ready"))
        return health.status_code, health.json()["traffic_log"]["ready"], ready.status_code, line.split()[1]

    body = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}
    assert found() == (200, True, 200, "1.0")
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))  # as a disk that is full
    wait_until(lambda: found() == (503, False, 503, "0.0"), 15)
    with httpx.Client(base_url=gateway.url, trust_env=False, verify=False) as client:
        assert client.post("/v1/chat/completions", json=body).json()["error"]["code"] == "not_recorded"
        said = client.get("/health").json()
    assert said["status"] == "degraded"
    assert said["loops"] == {"support": False}
    assert "cannot be written" in said["traffic_log"]["why"]
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until(lambda: found() == (200, True, 200, "1.0"), 15)
