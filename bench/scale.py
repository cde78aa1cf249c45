"""Cost of a look of each sensor and of each report while the traffic log grows, on SQLite and PostgreSQL.

A last part curates growing numbers of training rows, from the committed seed to the committed dataset.

What is in the windows stays the same; only the history before them grows. The peer of a row is the same step on the small log, and for a
look the same look at an empty one. Each step runs in a process of its own, so that its memory is its own: CPU-seconds are those of that
process and of the PostgreSQL server, memory is the most that the process had of its own (RssAnon), without pages of files that the system
takes back when it needs them, such as those of the vectors. Real gateway, journal, dataset store, vector store
and Dagster storage; queries are embedded by hashed trigrams, as a model would take the same time at any size.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import dagster as dg
import psutil

from bench.rows import CannotMeasure, Row, Size, environment, parse, parser, write
from ftassets.assets import behaviour_report, golden_set, quality_report, query_embeddings, seed_examples
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.assets.curated_dataset import asset as curated_dataset
from ftassets.assets.drift_report import asset as drift_report
from ftassets.assets.drift_report import reference
from ftassets.automation import monitors, reconcile, retrain, rollout
from ftassets.backends.traffic_log.base import Exchange, Feedback, TrafficLog
from ftassets.backends.traffic_log.postgres import PostgresTrafficLog
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.cli.commands.labelling import label_export
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import backend
from ftassets.domain.traffic.exchange import hashed_user
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.postgres_server import PostgresServer, binaries
from ftassets.testing.releases import loop_config, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread

SIZES = {
    "small": Size(10_000, 10_000, "rows of the small log"),
    "rows": Size(1_000_000, 10_000_000, "rows of the large log"),
    "training_small": Size(10_000, 30_000, "rows of the small training set"),
    "training_rows": Size(100_000, 1_000_000, "rows of the large training set"),
}
URL = "FTASSETS_SCALE_URL"  # of the log, for the children: the other backends are those of one machine
LOOP, DAY = "support", 86_400.0
RECENT = 3000  # rows of the last 30 days, a third of them of the last day, a tenth of the last hour, in which a canary runs
RATIO, LOOK_SECONDS, SHORTEST = 1.5, 0.2, 0.05  # CPU-seconds below the shortest are not told apart
REPEATS = {"sensor": 5, "report": 2}  # of which the mean counts
LOCAL = ("io_manager", "traffic_log", "embedder_of")  # not from the profile
DIMENSIONS = 384  # those of the default embedder
LINEAR, MOST_MEMORY = 1.3, 4000.0  # times the CPU-seconds that grow with the rows; MB
LOOKS = ("retrain", "rollout", "reconcile", "monitor_deployment")
REPORTS = ("query_embeddings", "drift reference", "drift_report", "quality_report", "behaviour_report", "label export")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("scale", measure(parse(parser("scale", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """Both logs, each with a home of its own."""
    if options.small <= RECENT or options.rows <= options.small:
        raise CannotMeasure(f"sizes rise: more than {RECENT:,} rows in the small log, and more than that in the large one")
    yield from _curation(options.training_small, options.training_rows)
    if binaries() is None:
        raise CannotMeasure("PostgreSQL is not installed: apt-get install postgresql")
    for name in ("SQLite", "PostgreSQL"):
        with ExitStack() as stack:
            home = Home(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftassets-scale-"))))
            server = stack.enter_context(PostgresServer()) if name == "PostgreSQL" else None
            yield from _measure(name, home, server, options.small, options.rows)


def loop() -> LoopConfig:
    """The loop whose log grows: windows of a day, training rows of 30 days."""
    home = os.environ.get("FTASSETS_HOME", ".")
    return loop_config(
        LOOP,
        retrain_on={"drift": {"window": "24h", "sample": 500}},
        golden_set=f"{home}/golden.jsonl",
        dataset={"seed": f"{home}/seed.jsonl", "production_window": "30d"},
    )


def _measure(name: str, home: Home, server: PostgresServer | None, small: int, large: int) -> Iterator[Row]:
    variables = {
        "FTASSETS_HOME": str(home.root),
        "FTASSETS_PROFILE": "embedded",
        URL: server.account() if server else "",
    }
    os.environ.update(variables)
    log, found = _log(home), {}
    production, candidate = released(home, "a"), released(home, "b")
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {LOOP: loop()}, host) as (serving, _):
        serving.start(LOOP, production, 100, DAY, "cli", "first")
        _events(home, production)
        log.count(LOOP)  # makes the tables
        now = time.time()
        found[0] = {step: _cost(step, variables, server) for step in LOOKS}
        _fill_window(log, production, candidate, now)
        _vectors(home, log)
        for before, size in pairwise((RECENT, small, large)):
            _fill_history(home, server, production, now - 31 * DAY, before - RECENT, size - RECENT)
            if size == small:
                serving.start(LOOP, candidate, 20, DAY, "cli", "canary")
            assert log.count(LOOP) == size
            found[size] = {step: _cost(step, variables, server) for step in (*LOOKS, *REPORTS)}
    host.close()
    yield from _rows(name, found, small, large)


def _rows(name: str, found: Mapping[int, Mapping[str, tuple[float, float]]], small: int, large: int) -> Iterator[Row]:
    for step in (*LOOKS, *REPORTS):
        what = f"{name}, {large:,} rows: {step}" + (" sensor" if step in LOOKS else "")
        (cpu, memory), (cpu_small, memory_small) = found[large][step], found[small][step]
        most = RATIO * max(cpu_small, SHORTEST)
        yield Row(what, cpu, "CPU-s", f"<= {RATIO:g} times that of {small:,} rows", cpu <= most, cpu_small, f"{small:,} rows")
        holds = memory <= RATIO * memory_small
        yield Row(what, memory, "MB", f"<= {RATIO:g} times that of {small:,} rows", holds, memory_small, f"{small:,} rows")
        if step in LOOKS:
            idle = found[0][step][0]
            goal = f"<= {LOOK_SECONDS:g} more than an idle look"
            yield Row(f"{what}, beside an idle look", cpu, "CPU-s", goal, cpu - idle <= LOOK_SECONDS, idle, "empty log")


def _curation(small: int, large: int) -> Iterator[Row]:
    """What a training set costs, each size in a home of its own."""
    cost = {}
    for size in (small, large):
        with ExitStack() as stack:
            home = Home(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ftassets-scale-"))))
            stack.enter_context(run_gateway_in_thread(home, {LOOP: loop()}, ThreadHost(stub_engine())))
            variables = {"FTASSETS_HOME": str(home.root), "FTASSETS_PROFILE": "embedded", URL: ""}
            _child(f"commit_rows({size})", variables)
            cost[size] = _child("curate_rows()", variables)
    (cpu, memory), (cpu_small, _) = cost[large], cost[small]
    what, times = f"{large:,} training rows: curated_dataset", LINEAR * large / small
    yield Row(what, cpu, "CPU-s", f"<= {times:g} times that of {small:,} rows", cpu <= times * cpu_small, cpu_small, f"{small:,} rows")
    yield Row(what, memory, "MB", f"<= {MOST_MEMORY:g}", memory <= MOST_MEMORY)


def _log(home: Home) -> TrafficLog:
    url = os.environ[URL]
    return PostgresTrafficLog(url) if url else SqliteTrafficLog(home.traffic_db)


# the data


def _exchange(number: int, version: str, at: float, weight: float) -> Exchange:
    prompt = f"turn the {number % 97} lamp of room {number % 31} to {number % 100} percent"
    messages = json.dumps([{"role": "system", "content": "Answer with the tool call as JSON."}, {"role": "user", "content": prompt}])
    answer = json.dumps({"intent": f"Intent{number % 9}", "lamp": number % 97, "room": number % 31})
    status = 500 if number % 50 == 0 and weight != 20 else 200
    user = hashed_user(str(number % 500))
    return Exchange(f"recent-{number}", LOOP, version, user, prompt, messages, answer, status, at, 800.0, 120.0, 90, 30, weight)


def _fill_window(log: TrafficLog, production: str, candidate: str, now: float) -> None:
    """Rows of 30 days: as many in the last day as in ten before, and a canary with a fifth of the last hour."""
    rows = []
    for number in range(RECENT):
        part = number / RECENT
        age = 30 * DAY * (1 - 1.5 * part) + DAY if part < 2 / 3 else DAY * (1 - part) * 3 if part < 0.9 else 3600 * (1 - part) * 10
        canary = part >= 0.9
        mine = canary and number % 5 == 0
        rows.append(_exchange(number, candidate if mine else production, now + 5 - age, 20.0 if mine else 80.0 if canary else 100.0))
    log.append([row.judged(loop().task.form) for row in rows])
    for row in rows[::10]:
        log.add_feedback(Feedback(row.id, row.at + 5, "down" if row.at % 2 < 1 else "up", row.answer if row.at % 3 < 1 else None))


_HISTORY = """
SELECT 'history-' || i, '{loop}', CASE WHEN i % 2 = 0 THEN '{production}' ELSE 'old-version-' || i % 20 END, 'user-' || i % 5000,
    'dim the lamp ' || i, '[{{"role": "user", "content": "dim the lamp ' || i || '"}}]', '{{"intent": "Dim", "lamp": ' || i || '}}',
    CASE WHEN i % 50 = 0 THEN 500 ELSE 200 END, {end} - i * 5.0, 800.0, 120.0, 90, 30, 100.0, NULL, {yes} FROM {numbers}"""
_TOLD = """
SELECT {key}'history-' || i, {end} - i * 5.0 + 60, 'down', CASE WHEN i % 40 = 0 THEN '{{"intent": "Open"}}' END, '{loop}',
    CASE WHEN i % 2 = 0 THEN '{production}' ELSE 'old-version-' || i % 20 END, {end} - i * 5.0 FROM {numbers} WHERE i % 20 = 0"""


def _fill_history(home: Home, server: PostgresServer | None, production: str, end: float, first: int, last: int) -> None:
    """Rows `first` to `last` of before `end`, one each five seconds: written by the database itself, or ten million would take hours."""
    numbers = (
        f"generate_series({first + 1}, {last}) AS i"
        if server
        else f"(WITH RECURSIVE n (i) AS (SELECT {first + 1} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n)"
    )
    values = {"loop": LOOP, "production": production, "end": f"{end:.3f}", "numbers": numbers, "yes": "true" if server else "1"}
    columns = 'id, loop, version, "user", prompt, messages, answer, status, at, latency_ms, first_token_ms, tokens_in, tokens_out, weight'
    exchanges, told = (
        f"({columns}, error, well_formed) {_HISTORY.format(**values)}",
        "request_id, at, rating, correction, loop, version, asked_at",
    )
    if server:
        schema = os.environ[URL].split("/")[2].split(":")[0]
        with server.administrator() as connection:
            connection.run(f"SET search_path TO {schema}")
            connection.run(f"INSERT INTO traffic_exchange {exchanges}")
            connection.run(f"INSERT INTO traffic_feedback (id, {told}) {_TOLD.format(key='gen_random_uuid(), ', **values)}")
            connection.run("VACUUM (ANALYZE) traffic_exchange, traffic_feedback")  # as the server does by itself in time
        return
    connection = sqlite3.connect(home.traffic_db)
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.execute(f"INSERT INTO exchange {exchanges}")
        connection.execute(f"INSERT INTO feedback ({told}) {_TOLD.format(key='', **values)}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _events(home: Home, production: str) -> None:
    """What earlier runs reported: a release, and a quiet drift report each hour of the last week."""
    with _instance(home) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(node(LOOP, "release"), tags={DATA_VERSION: production}))
        for number in range(7 * 24):
            event = dg.AssetMaterialization(
                node(LOOP, "drift_report"), metadata={"verdict": "QUIET", "production": production}, tags={DATA_VERSION: f"{number:064}"}
            )
            instance.report_runless_asset_event(event)


def _vectors(home: Home, log: TrafficLog) -> None:
    with _instance(home) as instance:
        _materialize(home, instance, query_embeddings, "query_embeddings", log)


def commit_rows(count: int) -> None:
    """Commit a seed of so many requests, one in ten near another one, and a golden set of a thousand, from this process's home."""
    home, rng = Home.from_env(), random.Random(0)
    syllables = [one + other for one in "bdfgklmnprstvz" for other in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 3))) for _ in range(3000)]
    texts: list[str] = []
    while len(texts) < count + 1000:
        again = rng.random() < 0.1 and len(texts) > 1000
        texts.append(f"{texts[rng.randrange(1000, len(texts))]} {rng.choice(words)}" if again else " ".join(rng.choices(words, k=12)))
    for name, part in (("golden", texts[:1000]), ("seed", texts[1000:])):
        rows = ({"id": f"{name}-{n}", "prompt": text, "completion": _answer(n)} for n, text in enumerate(part))
        (home.root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with _instance(home) as instance:
        for module, name in ((seed_examples, "seed_examples"), (golden_set, "golden_set")):
            _materialize(home, instance, module, name, _log(home))


def _answer(number: int) -> str:
    return json.dumps({"intent": f"Intent{number % 150}", "lamp": number % 97, "room": number % 31})


def curate_rows() -> None:
    """Make the dataset of the rows committed in this process's home; prints its CPU-seconds and this process's memory in MB as JSON."""
    home = Home.from_env()
    with _instance(home) as instance, _Memory() as memory:
        begin = time.process_time()
        _materialize(home, instance, curated_dataset, "curated_dataset", _log(home))
        seconds = time.process_time() - begin
    print(json.dumps([seconds, memory.highest]))


# the steps, in the child


def look(step: str, postmaster: int) -> None:
    """Take a step some times in this process, and print its CPU-seconds and this process's memory in MB as JSON."""
    home = Home.from_env()
    log = _log(home)
    log.count("")  # connects
    with _instance(home) as instance, _Memory() as memory:
        act = _step(step, home, log, instance)
        act()  # reads modules, and fills the caches a daemon has too
        begin, repeats = _cpu_seconds(postmaster), REPEATS["sensor" if step in LOOKS else "report"]
        for _ in range(repeats):
            act()
        seconds = (_cpu_seconds(postmaster) - begin) / repeats
    print(json.dumps([seconds, memory.highest]))


class _Memory(threading.Thread):
    """The most memory that this process had of its own while this was open, in MB, as read each 20 ms."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.highest = 0.0
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self.join()
        self._read()

    def run(self) -> None:
        while not self._over.wait(0.02):
            self._read()

    def _read(self) -> None:
        lines = Path("/proc/self/status").read_text().splitlines()
        [anonymous] = [line.split()[1] for line in lines if line.startswith("RssAnon:")]
        self.highest = max(self.highest, int(anonymous) / 1024)


def _step(step: str, home: Home, log: TrafficLog, instance: dg.DagsterInstance) -> Callable[[], object]:
    config = loop()
    sensors = {
        "retrain": retrain.build,
        "rollout": rollout.build,
        "reconcile": reconcile.build,
        "monitor_deployment": lambda config: monitors.build(config)[2],
    }
    if step in sensors:
        sensor = sensors[step](config)
        resources = {name: log if name == "traffic_log" else backend(home, name) for name in sensor.required_resource_keys}
        cursor = "1" if step == "reconcile" else None  # it has seen the first transition
        return lambda: sensor(dg.build_sensor_context(instance=instance, resources=resources, cursor=cursor))
    serving, artifacts, store, vectors = (backend(home, name) for name in ("serving", "artifacts", "dataset_store", "vector_store"))
    if step == "drift reference":
        production, rate = serving.state(LOOP).production, drift_report.false_alarm_rate(config)

        def make() -> object:
            first = reference.answers_of(config, production, artifacts, log, time.time())
            made = reference.made(uuid.uuid4().hex, config, production, artifacts, first, store, vectors, HashEmbedder(DIMENSIONS), rate)
            assert made is not None, "the version has enough answers"
            return made

        return make
    if step == "label export":
        return lambda: label_export(log, store, config, "jsonl", 200, time.time() - config.dataset.production_window)
    module = {"query_embeddings": query_embeddings, "drift_report": drift_report, "quality_report": quality_report}.get(
        step, behaviour_report
    )
    return lambda: _materialize(home, instance, module, step, log)


def _materialize(home: Home, instance: dg.DagsterInstance, module: Any, name: str, log: TrafficLog) -> None:
    definition = module.build(loop())
    resources = {each: backend(home, each) for each in definition.required_resource_keys if each not in LOCAL}
    resources |= {"traffic_log": log, "embedder_of": lambda settings: HashEmbedder(DIMENSIONS)}
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    result = dg.materialize([definition], instance=instance, resources=resources, run_config=quiet)
    assert result.success, name


def _instance(home: Home) -> dg.DagsterInstance:
    home.dagster_storage.mkdir(parents=True, exist_ok=True)
    return dg.DagsterInstance.local_temp(str(home.dagster_storage))


def _cpu_seconds(postmaster: int) -> float:
    """CPU time of this process so far, and of the server's processes if there is one."""
    parts = [time.process_time()]
    if postmaster:
        for process in psutil.Process(postmaster).children():
            times = process.cpu_times()
            parts.append(times.user + times.system)
    return sum(parts)


def _cost(step: str, variables: Mapping[str, str], server: PostgresServer | None) -> tuple[float, float]:
    """CPU-seconds and MB of a step."""
    return _child(f"look({step!r}, {server.pid if server else 0})", variables)


def _child(call: str, variables: Mapping[str, str]) -> tuple[float, float]:
    """The two numbers this call prints in a process of its own, 0 when it prints none."""
    code = f"from bench import scale; scale.{call}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], env=environment(**variables), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{call}: {done.stderr[-3000:]}")
    cpu, memory = json.loads(done.stdout.splitlines()[-1]) if done.stdout else (0.0, 0.0)
    return cpu, memory


if __name__ == "__main__":
    sys.exit(main())
