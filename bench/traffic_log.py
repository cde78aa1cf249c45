"""Time to write a request's row, to read a window of rows and to remove them, in PostgreSQL and in SQLite on the same disk.

PostgreSQL runs on this machine with its settings as installed, fsync on: a row is on disk when the call returns. SQLite's log gives that up
for power cuts, so its figures are a floor, not a goal.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Thread

from bench.rows import CannotMeasure, Row, Size, parse, parser, write
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.traffic.exchange import Exchange
from ftassets.testing.postgres_server import PostgresServer, binaries

GOAL_MS = 5.0
BATCH = 50  # as the gateway writes under load: the rows that ended while the batch before was written
THREADS = 4
SIZES = {
    "rows": Size(20_000, 20_000, f"rows written in batches of {BATCH}, and read back as one window"),
    "single": Size(500, 500, "rows written one by one"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("traffic_log", measure(parse(parser("traffic_log", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Both logs, each with rows of its own."""
    with tempfile.TemporaryDirectory() as folder, _server() as server:
        ours = _times(PostgresTrafficLog(server.account()), options.rows, options.single)
        theirs = _times(SqliteTrafficLog(Path(folder) / "traffic.db"), options.rows, options.single)
    for what, unit in _UNITS.items():
        goal, holds = (f"<= {GOAL_MS:g}", ours[what] <= GOAL_MS) if what == "median of one write" else (None, None)
        yield Row(what, ours[what], unit, goal, holds, theirs[what], "SQLite")


def _server() -> PostgresServer:
    if binaries() is None:
        raise CannotMeasure("PostgreSQL is not installed: apt-get install postgresql")
    return PostgresServer(durable=True)


_UNITS = {
    "median of one write": "ms",
    "95th percentile of one write": "ms",
    f"written in batches of {BATCH}": "rows/s",
    f"written one by one by {THREADS} threads": "rows/s",
    "read as one window": "rows/s",
    "counted in a window": "ms",
    "removed, with the space given back": "rows/s",
}


def _times(log: TrafficLog, rows: int, single: int) -> dict[str, float]:
    dice = random.Random(7)
    log.append([_exchange(dice, "first")])  # tables and connection are there
    ones = [[_exchange(dice, "one")] for _ in range(single)]
    times = [_seconds(partial(log.append, one)) * 1000 for one in ones]
    batches = [[_exchange(dice, "many") for _ in range(BATCH)] for _ in range(rows // BATCH)]
    batched = _seconds(lambda: [log.append(batch) for batch in batches])
    parts = [[_exchange(dice, "threads") for _ in range(single // THREADS)] for _ in range(THREADS)]
    threads = [Thread(target=_append_each, args=(log, part)) for part in parts]
    at_once = _seconds(lambda: _run(threads))
    read = _seconds(lambda: log.exchanges("many"))
    counted = _seconds(lambda: log.count("many", since=1.7e9))
    assert log.count("many") == len(batches) * BATCH
    assert log.count("threads") == sum(map(len, parts))
    names = {row.id: 0 for batch in batches for row in batch}
    removed = _seconds(lambda: (log.remove("many", names), log.reclaim()))
    assert log.count("many") == 0
    values = (
        statistics.median(times),
        statistics.quantiles(times, n=20)[-1],
        len(batches) * BATCH / batched,
        sum(map(len, parts)) / at_once,
        len(batches) * BATCH / read,
        counted * 1000,
        len(names) / removed,
    )
    return dict(zip(_UNITS, values, strict=True))


def _append_each(log: TrafficLog, rows: Sequence[Exchange]) -> None:
    for row in rows:
        log.append([row])


def _run(threads: Sequence[Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _exchange(dice: random.Random, loop: str) -> Exchange:
    """About 1 kB of text, as a short chat has."""
    text = dice.randbytes(150).hex()
    messages = json.dumps([{"role": "system", "content": "You help."}, {"role": "user", "content": text}])
    at = 1.7e9 + dice.random() * 1e6
    return Exchange(dice.randbytes(16).hex(), loop, "a" * 64, "u" * 32, text, messages, text, 200, at, 812.5, 120.25, 90, 80, 95.0)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
