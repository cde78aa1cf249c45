"""Backups of a home while requests are stored: failed and slowest requests, seconds of a first and a second backup, and of a restore.

The home has files of random bytes, as weights are, and a traffic log. Requests come at a steady rate from a thread of this process.
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

from bench.rows import Row, Size, parse, parser, write
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.processes.backup import back_up, restore
from ftassets.testing.contracts.traffic_log import exchange
from ftassets.testing.releases import released

RATE = 50  # requests a second
ROWS = 20_000  # that the log has before
FILE = 50  # MB of a file
SIZES = {"megabytes": Size(200, 5000, "MB of files in the home")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("backup", measure(parse(parser("backup", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """One home, backed up twice and restored once."""
    with tempfile.TemporaryDirectory() as folder:
        home, target = Home(Path(folder) / "home"), Path(folder) / "disk"
        released(home, "one")
        (home.mlflow_artifacts / "weights").mkdir(parents=True)
        for number in range(max(1, options.megabytes // FILE)):
            (home.mlflow_artifacts / "weights" / f"{number}").write_bytes(os.urandom(min(FILE, options.megabytes) * 10**6))
        log = SqliteTrafficLog(home.traffic_db)
        log.append([exchange(-1 - number, prompt="x" * 400) for number in range(ROWS)])
        times: list[float] = []
        failed: list[Exception] = []
        with _requests(log, times, failed):
            time.sleep(2.0)
            alone = max(times)
            times.clear()
            first, second = back_up(home, target), back_up(home, target)
            slowest = max(times)
        yield Row("requests that failed while backups were made", len(failed), "requests", "0", not failed)
        yield Row("slowest write of a request meanwhile", slowest, "s", peer=alone, peer_name="without a backup")
        yield Row("first backup", first.seconds, "s")
        yield Row("second backup", second.seconds, "s")
        yield Row("new bytes of the second backup", second.new_bytes / second.bytes * 100, "% of the home")
        shutil.rmtree(home.root)
        yield Row("restore, every byte checked", restore(home, target).seconds, "s")


@contextmanager
def _requests(log: SqliteTrafficLog, times: list[float], failed: list[Exception]) -> Iterator[None]:
    stop = threading.Event()

    def send() -> None:
        number = 0
        while not stop.wait(1 / RATE):
            begin = time.perf_counter()
            try:
                log.append([exchange(number, prompt="x" * 400)])
            except Exception as error:  # whatever it is, the request has failed
                failed.append(error)
            times.append(time.perf_counter() - begin)
            number += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


if __name__ == "__main__":
    sys.exit(main())
