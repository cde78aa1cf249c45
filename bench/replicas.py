"""Two gateways on PostgreSQL: changes under load, kill -9 of each part, and what a second gateway adds.

Gateways, engines, and a server each for control and traffic log are processes of their own; clients of both gateways ask all the time.
"""

import argparse
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from bench.gateway import LOOP, body, serve_engines
from bench.rows import CannotMeasure, Row, Size, environment, parse, parser, write
from ftassets.backends.serving.base import ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.serving.gateway_address import read_address
from ftassets.config.home import Home
from ftassets.config.profiles import CONTROL_URL, TRAFFIC_URL, traffic_log
from ftassets.testing.postgres_server import PostgresServer, binaries
from ftassets.testing.releases import released

CLIENTS = 16
SIZES = {
    "changes": Size(100, 100, "changes of weights under load"),
    "seconds": Size(20, 60, "seconds of load for each figure of CPU time"),
}
LEASE = 6.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("replicas", measure(parse(parser("replicas", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows on the same two gateways."""
    if binaries() is None:
        raise CannotMeasure("PostgreSQL is not installed: apt-get install postgresql")
    with ExitStack() as stack:
        control, traffic = (stack.enter_context(PostgresServer(durable=True)) for _ in range(2))
        os.environ |= {"FTASSETS_PROFILE": "production", CONTROL_URL: control.account(), TRAFFIC_URL: traffic.account()}
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        one = Home(folder / "one")
        production, candidate = released(one, "production", LOOP), released(one, "candidate", LOOP)
        engines = {version: stack.enter_context(engine(one.versions / version)) for version in (production, candidate)}
        urls = {version: url for version, (_, url) in engines.items()}
        first = stack.enter_context(Gateway(one, urls))
        first.serving.start(LOOP, production, 100, 600, "bench", "first")
        single = cpu(first, None, options.seconds)
        second = stack.enter_context(Gateway(beside(one), urls))
        yield scaling(single, cpu(first, second, options.seconds))
        yield from changes((first, second), candidate, options.changes)
        yield gateway_killed(first, second)
        yield database_killed(first, second, traffic)
        yield from control_killed(first, second, control, candidate)
        yield engine_killed(first, second, engines[candidate][0], candidate)


class Gateway:
    """A gateway process, which can be killed and started again on the same port."""

    def __init__(self, home: Home, urls: dict[str, str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.home, self.url, self.serving = home, f"http://127.0.0.1:{port}", GatewayServing(home)
        self._command = [sys.executable, "-m", "ftassets.testing.gateway_process", json.dumps(urls), str(port), LOOP]

    def start(self) -> None:
        """Until it listens."""
        self.process = subprocess.Popen(self._command, env=environment(FTASSETS_HOME=str(self.home.root)))
        wait_until(self._listens, 60)

    def _listens(self) -> bool:
        if self.process.poll() is not None:
            raise CannotMeasure("the gateway ended")
        try:
            return read_address(self.home).pid == self.process.pid
        except FileNotFoundError:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def seconds(self) -> float:
        """CPU time of the process until now."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def __enter__(self) -> "Gateway":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.wait(40)


@dataclass
class Asked:
    """What clients met: when each request was sent and answered, its status (0: no answer), version and id."""

    requests: list[tuple[float, float, int, str, str]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        """Requests without an answer."""
        return sum(status != 200 for _, _, status, _, _ in self.requests)

    def lost(self, home: Home) -> int:
        """Answers that a client had in full and the log has not."""
        rows = {row.id for row in traffic_log(home).exchanges(LOOP) if row.status == 200}
        return sum(name not in rows for _, _, status, _, name in self.requests if status == 200)


@contextmanager
def load(gateways: Sequence[Gateway], clients: int = CLIENTS) -> Iterator[Asked]:
    """Clients that ask all the time, in turn at each gateway as a balancer would send them."""
    asked, stop = Asked(), threading.Event()

    def client(number: int) -> None:
        with ExitStack() as stack:
            connections = [
                stack.enter_context(httpx.Client(base_url=each.url, timeout=30, trust_env=False, verify=False)) for each in gateways
            ]
            while not stop.is_set():
                number += 1
                sent = time.monotonic()
                try:
                    reply = connections[number % len(connections)].post("/v1/chat/completions", json={**body(), "user": f"{number}"})
                    seen = reply.status_code, reply.headers.get("x-ftassets-version", ""), reply.headers.get("x-request-id", "")
                except httpx.HTTPError:
                    seen = 0, "", ""
                    time.sleep(0.05)
                asked.requests.append((sent, time.monotonic(), *seen))

    threads = [threading.Thread(target=client, args=(1000 * number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def cpu(first: Gateway, second: Gateway | None, seconds: float) -> float:
    """CPU seconds of the gateways for a request, with all their work beside it."""
    gateways = [each for each in (first, second) if each]
    with load(gateways, 8 * len(gateways)) as asked:  # as busy as one alone: rows that come together share a commit
        time.sleep(2)
        before, known = sum(each.seconds() for each in gateways), len(asked.requests)
        time.sleep(seconds)
        used, number = sum(each.seconds() for each in gateways) - before, len(asked.requests) - known
    if asked.failed:
        raise CannotMeasure(f"{asked.failed} requests failed")
    return used / number


def scaling(single: float, pair: float) -> Row:
    """How many times the requests two gateways answer with a core each, by the CPU time of a request."""
    ratio = 2 * single / pair
    figures = f"{single * 1000:.2f} and {pair * 1000:.2f} CPU-ms a request"
    what = f"requests that 2 gateways with a core each can answer, as multiple of 1; {figures}"
    return Row(what, ratio, "times", ">= 1.7", ratio >= 1.7)


def changes(gateways: tuple[Gateway, Gateway], candidate: str, number: int) -> Iterator[Row]:
    """Starts, ramps and rollbacks at both gateways in turn; requests that fail, and the time until a rollback is in force at both."""
    waits, late, made = list[float](), 0, 0
    quiet: list[tuple[float, float]] = []
    with load(gateways) as asked:
        while made < number:
            for act in ("start", "ramp", "ramp", "rollback"):
                serving = gateways[made % 2].serving
                made += 1
                if act == "start":
                    serving.start(LOOP, candidate, 20, 600, "bench", "canary")
                elif act == "ramp":
                    serving.ramp(LOOP, 20 + made % 60, 600, "bench", "step")
                else:
                    began = time.monotonic()
                    serving.rollback(LOOP, "bench", "drill")
                    ended = time.monotonic()
                    waits.append(ended - began)
                    time.sleep(0.2)
                    quiet.append((ended, time.monotonic()))
    late = sum(version == candidate and begin < sent < end for sent, _, _, version, _ in asked.requests for begin, end in quiet)
    lost = asked.lost(gateways[0].home)
    what = f"requests that failed or have no row, {len(asked.requests)} asked, {made} changes of weights, {CLIENTS} clients, 2 gateways"
    yield Row(what, asked.failed + lost, "requests", "0", asked.failed + lost == 0)
    what = f"slowest of {len(waits)} rollbacks to be in force at both; {late} requests at the canary afterwards"
    yield Row(what, max(waits), "s", "<= 1, none", max(waits) <= 1 and not late)


def gateway_killed(first: Gateway, second: Gateway) -> Row:
    """Answers without a row, and requests that the other gateway failed meanwhile."""
    with load([second], 4) as other, load([first], 4) as asked:
        for _ in range(2):
            time.sleep(1.5)
            first.kill()
            time.sleep(1)
            first.start()
        time.sleep(1)
    lost = asked.lost(first.home) + other.lost(first.home)
    number = len(asked.requests) + len(other.requests)
    what = f"kill -9 of a gateway, twice: answers without a row, of {number}; {other.failed} failed at the other"
    return Row(what, lost, "answers", "0, none", lost == 0 and other.failed == 0)


def database_killed(first: Gateway, second: Gateway, traffic: PostgresServer) -> Row:
    """Answers without a row when the server of the traffic log is killed."""
    with load([first, second]) as asked:
        time.sleep(1.5)
        traffic.kill()
        time.sleep(0.5)
        traffic.start()
        back = time.monotonic()
        wait_until(lambda: sum(end > back and status == 200 for _, end, status, _, _ in list(asked.requests)) > 50, 30)
    lost = asked.lost(first.home)
    answered = len(asked.requests) - asked.failed
    what = f"kill -9 of the traffic log's PostgreSQL: answers without a row, of {answered}; {asked.failed} refused meanwhile"
    return Row(what, lost, "answers", "0", lost == 0)


def control_killed(first: Gateway, second: Gateway, control: PostgresServer, candidate: str) -> Iterator[Row]:
    """Without the server of control: requests that fail, and how long after its lease a canary is still asked."""
    first.serving.start(LOOP, candidate, 50, LEASE, "bench", "canary")
    ends = time.monotonic() + LEASE
    with load([first, second]) as asked:
        time.sleep(1)
        control.kill()
        time.sleep(LEASE + 3)
    control.start()
    wait_until(lambda: state_of(first) is None and state_of(second) is None, 30)
    over = max((sent for sent, _, _, version, _ in asked.requests if version == candidate), default=ends) - ends
    late = asked.lost(first.home)
    what = f"kill -9 of control's PostgreSQL: requests that failed or have no row, of {len(asked.requests)}"
    yield Row(what, asked.failed + late, "requests", "0", asked.failed + late == 0)
    yield Row("the same: how long after the end of its lease a canary was still asked", over, "s", "<= 1.5", over <= 1.5)


def engine_killed(first: Gateway, second: Gateway, process: "multiprocessing.process.BaseProcess", candidate: str) -> Row:
    """Seconds until production answers for a candidate whose engine was killed; no answer may lack its row."""
    first.serving.start(LOOP, candidate, 50, 600, "bench", "canary")
    with load([first, second]) as asked:
        time.sleep(1)
        process.kill()
        killed = time.monotonic()
        time.sleep(4)
    failed = [sent for sent, _, status, _, _ in asked.requests if status != 200]
    lost = asked.lost(first.home)
    until = max(failed, default=killed) - killed
    what = (
        f"kill -9 of the canary's engine: seconds until nothing fails; {len(failed)} of {len(asked.requests)} failed, {lost} without a row"
    )
    return Row(what, until, "s", "<= 2, none lost", until <= 2 and not lost)


def state_of(gateway: Gateway) -> str | None:
    """The candidate that a gateway knows of."""
    try:
        return gateway.serving.state(LOOP).candidate
    except ServingError:
        return "unknown"


def beside(home: Home) -> Home:
    """The home of another gateway, with the versions and keys of this one."""
    other = Home(home.root.parent / "two")
    other.root.mkdir()
    for folder in (home.versions, home.keys):
        (other.root / folder.name).symlink_to(folder)
    return other


@contextmanager
def engine(version: Path) -> Iterator[tuple["multiprocessing.process.BaseProcess", str]]:
    """A process with the engine of a version, and its URL."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve_engines, args=([version], there))
    process.start()
    try:
        yield process, here.recv()[version.name]
    finally:
        process.kill()
        process.join(30)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Raises CannotMeasure if it does not happen in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise CannotMeasure("a process did not come up in time")
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
