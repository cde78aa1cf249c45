"""The home in which the pages' commands are tried: a loop in production behind a gateway, with all that a command may ask for."""

import csv
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import requests
import uvicorn
import yaml

from ftassets.assets._shared.dataset_files import from_parquet, golden_path, read_splits
from ftassets.assets._shared.events import DATA_VERSION, node
from ftassets.assets._shared.stored_reports import verdicts
from ftassets.assets.eval_report.answering import answer_file
from ftassets.assets.eval_report.measuring import measure
from ftassets.assets.eval_report.rows import RowSet
from ftassets.backends.artifacts.reports import read_eval_report, store_eval_report
from ftassets.backends.artifacts.versions import load_manifest
from ftassets.backends.control.audit import seal
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.evaluator.subprocess import SubprocessEvaluator
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.cli.common import dagster_instance
from ftassets.config import loop_files
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import artifacts, backend, control, traffic_log
from ftassets.gate_service.admission import job_for
from ftassets.gate_service.app import gate_app
from ftassets.gate_service.contract import EvaluationJob, GateAnswer
from ftassets.gate_service.evaluation import evaluate
from ftassets.gate_service.turns import KEY, Turns
from ftassets.testing import external_endpoint
from ftassets.testing.external_endpoint import ExternalEndpoint
from ftassets.testing.hash_embedder import HashEmbedder
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.releases import attest, released
from ftassets.testing.releases import make_version as make_stub
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets.testing.tiny_loop import LOOP
from ftassets_tests import ROOT
from ftassets_tests.gate_service.world import ADAPTER_FILES, make_version, make_world, write_answers, write_divergences

NEWCOMER = "newcomer"  # a loop that has no production yet
GATE_KEY = "the key of the gate service"
RULES = {"people": {"anna": "lead", "ben": "engineer"}, "approve": ["lead"], "override": ["lead"]}
GATES = [
    {"metric": "exact_match", "better_than": "production"},
    {"metric": "f1", "at_least": 0.4},
    {"metric": "human_review", "at_least": 0.5, "sample": 20},
]


@dataclass
class World:
    """What a command may name, and what has to be there before some of them."""

    home: Home
    loop: LoopConfig
    store: GitDatasetStore
    serving: GatewayServing
    url: str
    gate_url: str
    endpoint: ExternalEndpoint
    cwd: Path
    good: str
    bad: str
    dataset: str
    report: str
    runner: Any
    _count: int = field(default=0)

    # ------------------------------------------------------------------ what placeholders stand for

    def fresh(self, name: str = "out") -> str:
        """A path in the working folder where nothing is yet."""
        self._count += 1
        return f"{name}-{self._count}"

    def request(self) -> str:
        """Id of a request that was just answered."""
        return str(self.ask(f"what about number {self._count}", user=f"asker {self._count}")["id"])

    def user(self) -> str:
        """Hash of a user who asked something, as the log has it."""
        self.ask("do you know me", user="somebody")
        return next(row.user for row in reversed(traffic_log(self.home).exchanges(LOOP)) if row.prompt == "do you know me")

    def labelled(self, format: str) -> str:
        """A labelling batch that people have answered, in one of the formats."""
        self.request()
        out = self.cwd / self.fresh("batch")
        self.runner("label", "export", LOOP, "--out", str(out), "--format", format)
        answer = '{"intent": "dim"}'
        if format == "jsonl":
            rows = [{**json.loads(line), "completion": answer, "annotator": "ann"} for line in out.read_text().splitlines()]
            out.write_text("".join(json.dumps(row) + "\n" for row in rows))
            return out.name
        tasks = json.loads(out.read_text())
        for task in tasks:
            if format == "argilla":
                task["responses"] = {"completion": [{"value": answer, "user_id": "ann", "status": "submitted"}]}
            else:
                result = {"from_name": "completion", "to_name": "prompt", "type": "textarea", "value": {"text": [answer]}}
                task["annotations"] = [{"completed_by": 1, "was_cancelled": False, "result": [result]}]
        out.write_text(json.dumps(tasks))
        return out.name

    def reviewed(self) -> str:
        """The sample of the newest report with every answer marked as good."""
        out = self.cwd / self.fresh("review.csv")
        self.runner("review", "export", LOOP, "--out", str(out))
        with out.open(encoding="utf-8-sig", newline="") as file:
            rows = [{**row, "good": "yes"} for row in csv.DictReader(file)]
        with out.open("w", newline="") as file:
            table = csv.DictWriter(file, rows[0].keys())
            table.writeheader()
            table.writerows(rows)
        return out.name

    def spare_key(self) -> str:
        """A key that is trusted and has signed nothing."""
        self.runner("keys", "rotate")
        spare = next(key["key_id"] for key in json.loads(self.runner("keys", "list", "--json")) if key["active"])
        self.runner("keys", "rotate")
        return str(spare)

    # ------------------------------------------------------------------ what must be so before a command

    def canary(self) -> None:
        """A version that takes a part of the traffic; its release is not the newest."""
        state = self.serving.state(LOOP)
        if state.candidate is None:
            digest = make_stub(self.home, self.fresh("canary"))
            attest(self.home, LOOP, digest, compared_with=state.production, issued_at=int(time.time()) - 3600)
            self.serving.start(LOOP, digest, 20, 3600, "test", "a canary for the pages")

    @property
    def file(self) -> Path:
        """The loop file."""
        return self.cwd.parent / "loops" / LOOP / "defs.yaml"

    @property
    def release(self) -> Path:
        """The signed release of the candidate whose gates passed."""
        return self.home.root / "releases" / LOOP / f"{self.good}.dsse.json"

    def ask(self, text: str, **fields: Any) -> dict[str, Any]:
        """One request to the loop."""
        body = {"model": LOOP, "messages": [{"role": "user", "content": text}], **fields}
        answer = requests.post(f"{self.url}/v1/chat/completions", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def world(folder: Path, patch: pytest.MonkeyPatch, runner: Any) -> Iterator[World]:
    """`runner` runs a command of the CLI in this process and returns what it wrote."""
    home, cwd = Home(folder / "home"), folder / "work"
    cwd.mkdir()
    mlflow_tables(home.root)
    with ExitStack() as stack:
        there = stack.enter_context(external_endpoint.external_endpoint())
        for name, value in {
            "FTASSETS_HOME": str(home.root),
            "FTASSETS_LOOPS": str(folder / "loops"),
            "FTASSETS_DAGSTER_STORAGE": str(home.dagster_storage),
            "DAGSTER_HOME": str(ROOT),
            KEY: GATE_KEY,
            external_endpoint.VARIABLE: external_endpoint.KEY,
        }.items():
            patch.setenv(name, value)
        for name in ("FTASSETS_PROFILE", "FTASSETS_TRAFFIC_URL"):
            patch.delenv(name, raising=False)
        patch.chdir(cwd)
        patch.setattr("ftassets.backends.embedder.minilm.MiniLmEmbedder", HashEmbedder)

        made = make_world(folder, gates=GATES, release=RULES)
        store, golden_commit = made.store, made.golden_commit
        manifest = load_manifest(artifacts(home), made.candidate)
        dataset = str(manifest.dataset_commit)
        bad = make_version(home, None, "bad", *ADAPTER_FILES, base_digest=made.base, dataset_commit=dataset)
        golden = from_parquet(store.read(golden_commit, golden_path(LOOP)))
        held_out = read_splits(store, dataset, LOOP)["test"]
        serving_ones = [released(home, name, LOOP) for name in ("standby", "production")]
        for digest, right in ((made.base, 0.1), (made.candidate, 0.9), (bad, 0.2), *((each, 0.3) for each in serving_ones)):
            for rows in (golden, held_out):
                write_answers(answer_file(artifacts(home), made.loop, digest, RowSet(rows), made.base), rows, right)
        for production in (None, serving_ones[-1]):
            write_divergences(home, made.base, (bad, made.candidate), production)

        loops = {LOOP: made.loop, NEWCOMER: made.loop.model_copy(update={"name": NEWCOMER})}
        for name, loop in loops.items():
            path = folder / "loops" / name / "defs.yaml"
            path.parent.mkdir(parents=True)
            attributes = loop.model_dump(mode="json", exclude_unset=True) | {"name": name}
            path.write_text(yaml.safe_dump({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
        made.loop = loop_files.read_loops(folder / "loops")[LOOP]

        host = ThreadHost(stub_engine())
        stack.callback(host.close)
        serving, url = stack.enter_context(run_gateway_in_thread(home, loops, host))
        for digest in serving_ones:
            serving.start(LOOP, digest, 100, 3600, "test", "a version to begin with")
        found = World(
            home, made.loop, store, serving, url, stack.enter_context(_gate_service(home, made.loop, store)), there, cwd,
            made.candidate, bad, dataset, "", runner,
        )  # fmt: skip
        for digest in (bad, made.candidate):
            found.report = _evaluated(home, made.loop, store, digest, golden_commit)
        found.ask("what a day of traffic begins with")
        found.runner("review", "import", LOOP, found.reviewed(), "--name", "carla")
        report = read_eval_report(artifacts(home), LOOP, found.report)
        results = verdicts(control(home), made.loop, report, found.report)
        attest(
            home, LOOP, made.candidate, report_digest=found.report,
            verdicts={result.name: result.verdict.value for result in results}, generation=manifest.generation,
            audit=seal(control(home), backend(home, "signer"), time.time()).document(),
        )  # fmt: skip
        yield found


def _evaluated(home: Home, loop: LoopConfig, store: GitDatasetStore, digest: str, golden_commit: str) -> str:
    """Digest of an eval report of a version, made as the asset makes it, from answers that are there."""
    context = SimpleNamespace(run_id=f"run-{digest[:8]}", log=SimpleNamespace(info=print, warning=print))
    backends = (home, artifacts(home), control(home), store, SubprocessEvaluator(), None)
    made = measure(loop, digest, golden_commit, None, *backends, context, twice=False)  # there is no model to answer again
    report = store_eval_report(artifacts(home), made.report)
    event = dg.AssetMaterialization(node(loop.name, "eval_report"), tags={DATA_VERSION: report})
    with dagster_instance() as instance:
        instance.report_runless_asset_event(event)
    return report


@contextmanager
def _gate_service(home: Home, loop: LoopConfig, store: GitDatasetStore) -> Iterator[str]:
    """Base URL of a gate service whose evaluations run in this process, from stored answers; it has the loop without its reviewers."""
    policy = [gate for gate in loop.gates if gate.metric != "human_review"]
    loops = {LOOP: loop.model_copy(update={"gates": policy})}

    async def here(job: EvaluationJob) -> GateAnswer:
        import asyncio

        parts = home, artifacts(home), control(home), store
        nothing_serves = GatewayServing(Home(home.root / "nothing-serves-here"))
        context = SimpleNamespace(run_id=job.id, log=SimpleNamespace(info=print, warning=print))
        return await asyncio.to_thread(evaluate, job, *parts, SubprocessEvaluator(), nothing_serves, context)

    app = gate_app(GATE_KEY, lambda request: job_for(request, home, artifacts(home), loops, store), Turns(here))
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, name="gate-service", daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
