"""A gateway in a process of its own, which a drill may kill or take the disk from."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from ftassets.backends.serving.gateway_address import read_address
from ftassets.config.home import Home
from ftassets.config.profiles import serving
from ftassets.drill.copied_loop import LEASE, CopiedLoop
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost

PATIENCE = 60.0  # seconds


def until(happened: Callable[[], object], otherwise: str, seconds: float = PATIENCE) -> None:
    """Wait until something happened. Raises TimeoutError with the sentence."""
    end = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError(otherwise)
        time.sleep(0.05)


class GatewayProcess:
    """`python -m ftassets.testing.gateway_process`, with a model server of this process; the loop is `drill`."""

    loop = "drill"

    def __init__(self, home: Home, url: str, digest: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.home, self.url = home, f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "ftassets.testing.gateway_process", json.dumps({digest: url}), str(port), self.loop]
        self.start()

    @classmethod
    @contextmanager
    def started(cls, copy: CopiedLoop) -> Iterator["GatewayProcess"]:
        """One that serves a version."""
        home = Home(Path(tempfile.mkdtemp(dir=copy.folder)) / "home")
        home.root.mkdir()
        digest, host = released(home, "served", cls.loop), ThreadHost(stub_engine())
        try:
            asyncio.run(host.start(digest, home.versions / digest))
            gateway = cls(home, asyncio.run(host.running())[digest], digest)
            try:
                serving(home).start(cls.loop, digest, 100, LEASE, "drill", "drill")
                yield gateway
            finally:
                gateway.kill()
        finally:
            host.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def start(self, wait: bool = True) -> None:
        """Start it, and wait until it listens."""
        environment = {**os.environ, "FTASSETS_HOME": str(self.home.root)}
        self._process = subprocess.Popen(self._command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if wait:
            until(lambda: self._listens() and self.health() == 200, "the gateway did not start")

    def kill(self) -> None:
        """End it as the kernel does when memory runs out."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def ask(self, count: int) -> list[requests.Response]:
        """So many requests, one after the other."""
        with requests.Session() as session:
            session.trust_env = False
            bodies: Iterator[Any] = ({"model": self.loop, "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(count))
            return [session.post(f"{self.url}/v1/chat/completions", json=body, timeout=30) for body in bodies]

    def health(self) -> int:
        """Status of `/health`; 0 if it does not answer."""
        with requests.Session() as session:
            session.trust_env = False
            try:
                return session.get(f"{self.url}/health", timeout=10).status_code
            except requests.RequestException:
                return 0

    def refuses(self) -> bool:
        """Whether it ended by itself, or answers no request."""
        if self._process.poll() is not None:
            return True
        try:
            return self.health() == 503 and self.ask(1)[0].status_code != 200
        except requests.RequestException:
            return False

    def _listens(self) -> bool:
        try:
            return read_address(self.home).pid == self._process.pid
        except FileNotFoundError:
            return False
