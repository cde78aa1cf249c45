"""Seconds that `ftassets why` and `ftassets impact` take, the start of Python included, on a long log with many versions.

The answers of each version were counted before, as the asset cost_report does; the first count of a log is shown as a row of its own.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.rows import Row, Size, environment, parse, parser, write
from ftassets.assets._shared.dataset_files import dataset_objects
from ftassets.backends.artifacts.reports import store_eval_report
from ftassets.backends.control.journal import Journal
from ftassets.backends.control.served import count_served
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets.config.profiles import artifacts, control, traffic_log
from ftassets.domain.chat import question
from ftassets.domain.dataset.rows import Example
from ftassets.domain.evaluation.answer_form import ToolCall
from ftassets.domain.evaluation.scoring import score
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.testing.local_stores import local_stores
from ftassets.testing.releases import attest, make_version

LOOP, BASE = "support_triage", "b" * 64
GOAL = 2.0  # seconds
DAYS = 300
USERS = 20_000
SCORED = 500  # golden rows of a report
BEGIN = time.time() - DAYS * 86400
SIZES = {
    "rows": Size(200_000, 10_000_000, "rows of the traffic log"),
    "versions": Size(50, 200, "versions, each with a dataset, a report and a release"),
    "new": Size(100, 100, "training rows that each dataset has more than the one before"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the rows; returns the exit code."""
    return write("lineage", measure(parse(parser("lineage", __doc__), SIZES, arguments)))


def measure(options: argparse.Namespace) -> Iterator[Row]:
    """One home; each command is a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        versions, commits = _versions(home, options.versions, options.new)
        _log(home, versions, options.rows)
        begin = time.perf_counter()
        count_served(control(home), traffic_log(home), LOOP, time.time())
        yield Row("count the answers of a log for the first time", time.perf_counter() - begin, "s")
        last = f"answer-{options.rows - 1}"
        asked = {
            "why, rows by words": ("why", last),
            "impact of a request": ("impact", f"request-{options.versions // 2}"),
            "impact of a user": ("impact", f"{7:032x}"),
            "impact of a commit": ("impact", commits[options.versions // 2]),
            "impact of a base": ("impact", BASE),
        }
        yield Row("why, rows by the embedder, which is loaded", _seconds(home, "why", last, "--vectors"), "s")
        for what, arguments in asked.items():
            seconds = min(_seconds(home, *arguments) for _ in range(2))
            yield Row(what, seconds, "s", f"<= {GOAL:g}", seconds <= GOAL)


def _versions(home: Home, count: int, new: int) -> tuple[list[str], list[str]]:
    """Versions, each trained on the dataset before and some rows more, evaluated against the one before, released and promoted."""
    _, store = local_stores(home, time.time)
    journal, rows, versions, commits = Journal(control(home)), list[Example](), list[str](), list[str]()
    for number in range(count):
        rows += [_row(number, place) for place in range(new)]
        metadata = {"loop": LOOP, "content_hash": f"{number}"}
        files = dataset_objects(store, LOOP, {"train": rows, "validation": [], "test": []}, [], {}, {}, f"run-{number}")
        commits.append(store.publish(f"run-{number}", files, "dataset", metadata).commit)
        before = versions[-1] if versions else BASE
        versions.append(make_version(home, f"version {number}", LOOP, dataset_commit=commits[-1], base_digest=BASE))
        digest = store_eval_report(artifacts(home), _report(versions[-1], before, commits[-1]))
        at = BEGIN + number * DAYS * 86400 / count
        attest(home, LOOP, versions[-1], report_digest=digest, golden_commit="f" * 40, run_id=f"run-{number}", issued_at=int(at))
        journal.record(LOOP, "promote", f"run:run-{number}", "better", EndpointState(production=versions[-1], since=at), at)
    return versions, commits


def _row(number: int, place: int) -> Example:
    text = f"please turn the lamp {number} of room {place} on"
    said = {"source": "label", "user": f"{place:032x}", "request_id": f"request-{number}"} if place == 0 else {"source": "seed"}
    return Example(id=f"row-{number}-{place}", messages=question(text), completion='{"intent": "on"}', **said)


def _report(candidate: str, production: str, commit: str) -> EvalReport:
    answer = json.dumps({"intent": "on"})
    scores = {
        role: [score(f"golden-{n}", "established", answer, answer, ToolCall()) for n in range(SCORED)]
        for role in ("candidate", "production", "base")
    }
    return EvalReport(
        loop=LOOP, run_id="run", candidate=candidate, production=production, production_is_base=production == BASE, base=BASE,
        dataset_commit=commit, golden_commit="f" * 40, policy_digest="p", generation={}, scores=scores, latency_ms={}, answers={},
    )  # fmt: skip


def _log(home: Home, versions: Sequence[str], rows: int) -> None:
    """Rows of some hundred bytes, spread evenly over time, each answered by the version in production then."""
    traffic_log(home).count(LOOP)  # which makes the tables
    connection = sqlite3.connect(home.traffic_db)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("CREATE TEMP TABLE made (number INTEGER PRIMARY KEY, digest TEXT)")
    connection.executemany("INSERT INTO made VALUES (?, ?)", enumerate(versions))
    text = "please turn the lamp of room 7 on"
    columns = "id, loop, version, user, prompt, messages, answer, status, at, latency_ms, weight, well_formed, stored_at"
    with connection:
        connection.execute(
            f"""WITH RECURSIVE row (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM row WHERE n + 1 < :rows)
            INSERT INTO exchange ({columns})
            SELECT 'answer-' || n, :loop, digest, printf('%032x', n % {USERS}), :text,
                json_array(json_object('role', 'user', 'content', :text)),
                '{{"intent": "on"}}', 200, :begin + n * :step, 800.0, 100.0, 1, :begin + n * :step
            FROM row JOIN made ON made.number = n * :versions / :rows""",
            {"rows": rows, "loop": LOOP, "text": text, "begin": BEGIN, "step": DAYS * 86400 / rows, "versions": len(versions)},
        )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _seconds(home: Home, *arguments: str) -> float:
    begin = time.perf_counter()
    variables = environment(FTASSETS_HOME=str(home.root), FTASSETS_LOOPS=str(LOOPS))
    subprocess.run([sys.executable, "-m", "ftassets.cli", *arguments, "--json"], env=variables, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
