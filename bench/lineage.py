"""Seconds that `ftassets why` and `ftassets impact` take, the start of Python included, on a long log with many versions.

Most rows are with the answers of each version counted before, as the asset cost_report does each day; the first count is a row of its own.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.generators.traffic_rows import BEGIN, DAYS, answer_id, fill
from bench.rows import Done, Row, Size, parse, parser, run, write
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
SCORED = 500  # golden rows of a report
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
        fill(home, LOOP, versions, options.rows)
        known = {"FTASSETS_HOME": str(home.root), "FTASSETS_LOOPS": str(LOOPS)}
        yield from _told("impact of a base, nothing counted before", [run("impact", BASE, **known)])
        begin = time.perf_counter()
        count_served(control(home), traffic_log(home), LOOP, time.time())
        yield Row("count the answers of a log for the first time", time.perf_counter() - begin, "s")
        last = answer_id(options.rows - 1)
        asked = {
            "why, rows by words": ("why", last),
            "impact of a request": ("impact", f"request-{options.versions // 2}"),
            "impact of a user": ("impact", f"{7:032x}"),
            "impact of a commit": ("impact", commits[options.versions // 2]),
            "impact of a base": ("impact", BASE),
        }
        yield Row("why, rows by the embedder, which is loaded", run("why", last, "--vectors", **known).seconds, "s")
        for what, arguments in asked.items():
            yield from _told(what, [run(*arguments, **known) for _ in range(3)])


def _told(what: str, runs: Sequence[Done]) -> Iterator[Row]:
    """The least seconds by the clock and of CPU."""
    for least, unit in ((min(each.seconds for each in runs), "s"), (min(each.cpu for each in runs), "CPU-seconds")):
        yield Row(what, least, unit, f"<= {GOAL:g}", least <= GOAL)


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


if __name__ == "__main__":
    sys.exit(main())
