"""What the gateway adds to a request, and how long it takes to send traffic back.

The engines answer after 20 ms without a model; they, the gateway and the clients are processes of their own. Each request is asked through
the gateway, which writes it down, and straight at the engine, in turn.
"""

import argparse
import asyncio
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from bench.rows import Row, Size, environment, parse, parser, write
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost

LOOP = "voice_commands"
CLIENTS = 8
ADDED_MS, BACK_S, COMMAND_S = 10.0, 0.2, 3.0


SIZES = {"requests": Size(400, 400, "requests each way, for one client and for all"), "rollbacks": Size(10, 10, "rollbacks under load")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("gateway", measure(parse(parser("gateway", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """All rows on one gateway."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        with running(home) as (gateway, engine, candidate):
            for clients in (1, CLIENTS):
                yield latency(gateway, engine, clients, options.requests)
            yield rollback(home, gateway, candidate, options.rollbacks)
            yield command(home, candidate)


def latency(gateway: str, engine: str, clients: int, requests: int) -> Row:
    """Median milliseconds of a request, through the gateway and straight."""

    async def client() -> list[tuple[float, float]]:
        async with httpx.AsyncClient(timeout=30, trust_env=False, verify=False) as connection:
            return [(await ask(connection, gateway), await ask(connection, engine)) for _ in range(requests // clients)]

    async def ask(connection: httpx.AsyncClient, url: str) -> float:
        began = time.perf_counter()
        reply = await connection.post(f"{url}/v1/chat/completions", json=body())
        reply.raise_for_status()
        return (time.perf_counter() - began) * 1000

    async def everybody() -> list[tuple[float, float]]:
        return [pair for pairs in await asyncio.gather(*(client() for _ in range(clients))) for pair in pairs]

    through, straight = (statistics.median(side) for side in zip(*asyncio.run(everybody()), strict=True))
    what = f"median of a request, {clients} client{'s' * (clients > 1)}"
    return Row(what, through, "ms", f"<= peer + {ADDED_MS:g}", through <= straight + ADDED_MS, straight, "straight at the engine")


def rollback(home: Home, gateway: str, candidate: str, times: int) -> Row:
    """Slowest call that takes a canary's traffic away under load; no request may fail, or reach it afterwards."""
    serving, log, waits = GatewayServing(home), SqliteTrafficLog(home.traffic_db), []
    written = log.count(LOOP)
    stop, seen = threading.Event(), list[tuple[float, int, str]]()

    def client() -> None:
        with httpx.Client(timeout=30, trust_env=False, verify=False) as connection:
            while not stop.is_set():
                sent = time.monotonic()
                reply = connection.post(f"{gateway}/v1/chat/completions", json=body())
                seen.append((sent, reply.status_code, reply.headers.get("x-ftassets-version", "")))

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    between: list[tuple[float, float]] = []  # after a rollback, before the next start
    for _ in range(times):
        serving.start(LOOP, candidate, 50, 600, "bench", "canary")
        time.sleep(0.3)
        began = time.monotonic()
        serving.rollback(LOOP, "bench", "drill")
        ended = time.monotonic()
        time.sleep(0.3)
        waits.append(ended - began)
        between.append((ended, time.monotonic()))
    stop.set()
    for thread in threads:
        thread.join()
    failed = sum(status != 200 for _, status, _ in seen)
    late = sum(version == candidate and begin < sent < end for sent, _, version in seen for begin, end in between)
    lost = len(seen) - (log.count(LOOP) - written)
    seen_as = f"{len(seen)} requests, {failed} failed, {lost} not logged, {late} at the canary afterwards"
    what = f"slowest of {times} rollbacks under {CLIENTS} clients; {seen_as}"
    return Row(what, max(waits), "s", f"<= {BACK_S:g}, none", max(waits) <= BACK_S and not failed and not late and not lost)


def command(home: Home, candidate: str) -> Row:
    """Median seconds of the whole command, with no Dagster process there."""
    took = []
    for _ in range(3):
        GatewayServing(home).start(LOOP, candidate, 50, 600, "bench", "canary")
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "ftassets.cli.main", "rollback", LOOP, "--reason", "drill"],
            check=True,
            env=variables(home),
            stdout=subprocess.DEVNULL,
        )
        took.append(time.monotonic() - began)
    middle = statistics.median(took)
    return Row("`ftassets rollback`, whole command", middle, "s", f"<= {COMMAND_S:g}", middle <= COMMAND_S)


@contextmanager
def running(home: Home, settings: Mapping[str, Any] = MappingProxyType({})) -> Iterator[tuple[str, str, str]]:
    """A gateway process with a production version; its address, that of the engine, and a released candidate.

    `settings` are those of the loop that differ from the ones of tests.
    """
    production, candidate = released(home, "production", LOOP), released(home, "candidate", LOOP)
    here, there = multiprocessing.Pipe()
    engines = multiprocessing.get_context("spawn").Process(
        target=serve_engines, args=([home.versions / each for each in (production, candidate)], there)
    )
    engines.start()
    urls: dict[str, str] = here.recv()
    try:
        with gateway_of(home, urls, production, settings) as (url, _):
            yield url, urls[production], candidate
    finally:
        engines.terminate()
        engines.join(30)


@contextmanager
def gateway_of(
    home: Home, urls: Mapping[str, str], production: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway process in front of engines, with this version in production; its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    gateway = subprocess.Popen(
        [sys.executable, "-m", "ftassets.testing.gateway_process", json.dumps(dict(urls)), str(port), LOOP, json.dumps(dict(settings))],
        env=variables(home),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + 60
        while not (home.gateway / "address.json").exists():
            if gateway.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the gateway did not start")
            time.sleep(0.1)
        GatewayServing(home).start(LOOP, production, 100, 600, "bench", "first")
        yield f"http://127.0.0.1:{port}", gateway
    finally:
        gateway.terminate()
        gateway.wait(30)


def serve_engines(folders: list[Path], answer: Connection) -> None:
    """An engine for each version; says where they are and stays until it is ended."""
    host = ThreadHost(stub_engine(delay=0.02))
    for folder in folders:
        asyncio.run(host.start(folder.name, folder))
    answer.send(asyncio.run(host.running()))
    threading.Event().wait()


def variables(home: Home) -> dict[str, str]:
    """The environment of our processes: the home is theirs too."""
    return environment(FTASSETS_HOME=str(home.root), FTASSETS_LOOPS=str(LOOPS))


def body() -> dict:
    """A chat request."""
    return {"model": LOOP, "messages": [{"role": "user", "content": "hello"}]}


if __name__ == "__main__":
    sys.exit(main())
