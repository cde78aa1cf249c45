"""Time to write a request's row and to read a window of rows, in PostgreSQL and in SQLite on the same disk.

PostgreSQL runs on this machine with its settings as installed, fsync on: a row is on disk when the call returns. SQLite's log gives that up
for power cuts, so its figures are a floor, not a goal. Prints one JSON line per row and exits 1 when one does not hold.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

sys.path.insert(0, str(Path(__file__).parent.parent))

from ftassets.backends.traffic_log.base import TrafficLog  # noqa: E402
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog  # noqa: E402
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog  # noqa: E402
from ftassets.domain.traffic.exchange import Exchange  # noqa: E402
from ftassets.testing.postgres_server import PostgresServer  # noqa: E402

GOAL_MS = 5.0
BATCH = 50  # as the gateway writes under load: the rows that ended while the batch before was written
THREADS = 4


def main() -> int:
    """Measure both logs and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000, help="rows written in batches, and read back as one window")
    parser.add_argument("--single", type=int, default=500, help="rows written one by one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, PostgresServer(durable=True) as server:
        ours = _measured(PostgresTrafficLog(server.account()), options.rows, options.single)
        theirs = _measured(SqliteTrafficLog(Path(folder) / "traffic.db"), options.rows, options.single)
    held = True
    for what, unit in _UNITS.items():
        goal = f"<= {GOAL_MS:g}" if what == "median of one write" else None
        holds = goal is None or ours[what] <= GOAL_MS
        held &= holds
        row = {"bench": "traffic_log", "what": what, "ours": round(ours[what], 3), "peer": round(theirs[what], 3), "peer_name": "SQLite"}
        print(json.dumps({**row, "unit": unit, "ratio": round(ours[what] / theirs[what], 2), "goal": goal, "holds": holds}))
    return 0 if held else 1


_UNITS = {
    "median of one write": "ms",
    "95th percentile of one write": "ms",
    f"written in batches of {BATCH}": "rows/s",
    f"written one by one by {THREADS} threads": "rows/s",
    "read as one window": "rows/s",
    "counted in a window": "ms",
}


def _measured(log: TrafficLog, rows: int, single: int) -> dict[str, float]:
    dice = random.Random(7)
    log.append([_exchange(dice, "first")])  # tables and connection are there
    times = []
    for _ in range(single):
        row = _exchange(dice, "one")
        times.append(_seconds(lambda row=row: log.append([row])) * 1000)  # type: ignore[misc]
    batches = [[_exchange(dice, "many") for _ in range(BATCH)] for _ in range(rows // BATCH)]
    batched = _seconds(lambda: [log.append(batch) for batch in batches])
    parts = [[_exchange(dice, "threads") for _ in range(single // THREADS)] for _ in range(THREADS)]
    threads = [Thread(target=lambda part=part: [log.append([row]) for row in part]) for part in parts]  # type: ignore[misc]
    at_once = _seconds(lambda: [*(thread.start() for thread in threads), *(thread.join() for thread in threads)])
    read = _seconds(lambda: log.exchanges("many"))
    counted = _seconds(lambda: log.count("many", since=1.7e9))
    assert log.count("many") == len(batches) * BATCH
    assert log.count("threads") == sum(map(len, parts))
    values = (
        statistics.median(times),
        statistics.quantiles(times, n=20)[-1],
        len(batches) * BATCH / batched,
        sum(map(len, parts)) / at_once,
        len(batches) * BATCH / read,
        counted * 1000,
    )
    return dict(zip(_UNITS, values, strict=True))


def _exchange(dice: random.Random, loop: str) -> Exchange:
    """About 1 kB of text, as a short chat has."""
    text = dice.randbytes(150).hex()
    messages = json.dumps([{"role": "system", "content": "You help."}, {"role": "user", "content": text}])
    at = 1.7e9 + dice.random() * 1e6
    return Exchange(dice.randbytes(16).hex(), loop, "a" * 64, "u" * 32, text, messages, text, 200, at, 812.5, 120.25, 90, 80, 0.95)


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
