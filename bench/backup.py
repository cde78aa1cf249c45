"""Backups of a home while its gateway answers requests: failed requests, what a backup adds to their time, seconds of backup and restore.

The home has files of random bytes, as weights are, and a traffic log. Gateway, engine (a stub) and the commands are processes of their own;
requests come at a steady rate, whether the ones before are answered or not.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvloop

from bench.gateway import LOOP, gateway_of
from bench.gateway_load import running_engine
from bench.generators.http_load import Reply, paced, request
from bench.generators.traffic_rows import fill
from bench.rows import Done, Row, Size, parse, parser, run, write
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.testing.releases import released

RATE = 50  # requests a second
ALONE = 10.0  # seconds of requests without a backup
FILE = 50  # MB of a file
SIZES = {
    "megabytes": Size(200, 4000, "MB of files in the home"),
    "rows": Size(50_000, 1_500_000, "rows of its traffic log"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("backup", measure(parse(parser("backup", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """One home, backed up twice and restored once."""
    with tempfile.TemporaryDirectory() as folder:
        home, target = Home(Path(folder) / "home"), Path(folder) / "disk"
        production = released(home, "production", LOOP)
        (home.mlflow_artifacts / "weights").mkdir(parents=True)
        for number in range(max(1, options.megabytes // FILE)):
            (home.mlflow_artifacts / "weights" / f"{number}").write_bytes(os.urandom(min(FILE, options.megabytes) * 10**6))
        fill(home, LOOP, [production], options.rows)
        log = SqliteTrafficLog(home.traffic_db)
        with running_engine() as engine, gateway_of(home, {production: engine}, production) as (url, _):
            before = log.count(LOOP)
            with requests(url) as alone:
                time.sleep(ALONE)
            with requests(url) as meanwhile:
                first, second = (run("backup", target, FTASSETS_HOME=str(home.root)) for _ in range(2))
            replies = [*alone, *meanwhile]
            failed, rows = sum(reply.status != 200 for reply in replies), log.count(LOOP) - before
        size = f"{first.said['bytes'] / 1e9:.1f} GB"
        yield Row(f"of {len(meanwhile):,} requests while backups were made, those that failed", failed, "requests", "0", not failed)
        yield Row("answers that are not in the log", len(replies) - failed - rows, "rows", "0", len(replies) - failed == rows)
        for share, named in ((0.5, "median"), (0.99, "99 %"), (1.0, "slowest")):
            peer = quantile(alone, share)
            yield Row(f"answers meanwhile, {named}", quantile(meanwhile, share), "ms", peer=peer, peer_name="without a backup")
        yield from told(f"first backup, {size}", first)
        yield from told("second backup", second)
        yield Row("new bytes of the second backup", second.said["new_bytes"] / second.said["bytes"] * 100, "% of the home")
        shutil.rmtree(home.root)
        yield from told("restore, every byte checked", run("restore", target, FTASSETS_HOME=str(home.root)))


def told(what: str, done: Done) -> Iterator[Row]:
    """How long a command took."""
    yield Row(what, done.seconds, "s")
    yield Row(what, done.cpu, "CPU-seconds")


def quantile(replies: Sequence[Reply], share: float) -> float:
    """Milliseconds in which this share of the answers was there."""
    return float(np.quantile([reply.whole_ms for reply in replies], share))


@contextmanager
def requests(url: str) -> Iterator[list[Reply]]:
    """Requests from many users until this ends; their replies, which are all there then."""
    replies, stop = list[Reply](), threading.Event()
    sent = [request(url, LOOP, f"user {number}") for number in range(100)]

    def send() -> None:
        while not stop.is_set():
            replies.extend(uvloop.run(paced(url, sent, RATE, 1.0)))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield replies
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
