"""A whole loop under real processes, killed at its worst moments: it carries on by itself and nothing is half done."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil
import pytest
import requests
import yaml

from ftassets.assets._shared.dataset_files import read_splits
from ftassets.assets._shared.run_nodes import UNFINISHED
from ftassets.automation.ownership import DIED, PID
from ftassets.backends.artifacts.versions import verify
from ftassets.backends.control.spending import spending
from ftassets.backends.dataset_store.git import GitDatasetStore
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.trainer.checkpoints import newest_step
from ftassets.config.home import Home
from ftassets.config.loop_files import read_loops
from ftassets.config.profiles import artifacts, control, traffic_log
from ftassets.domain.spending.cycles import Outcome
from ftassets.domain.spending.usage import SILENCE
from ftassets.processes.code_location import CodeLocation
from ftassets.processes.up import down, free_ports, up
from ftassets.testing.releases import FEW_USERS
from ftassets.testing.tiny_loop import LOOP, taught_model, tiny_config
from ftassets_tests import ROOT
from ftassets_tests.processes.test_up import tree

DEFINITIONS = """
from pathlib import Path
import dagster as dg
from ftassets.components.fine_tune_loop import build_loop
from ftassets.config.loop_files import read_loops
from ftassets.components.resources import resources
from ftassets.testing.hash_embedder import HashEmbedder

loops = [build_loop(loop) for loop in read_loops(Path(__file__).parent / "loops").values()]
backends = resources() | {"embedder_of": lambda settings: HashEmbedder()}
defs = dg.Definitions.merge(*loops, dg.Definitions(resources=backends, executor=dg.in_process_executor))
"""


DAGSTER = ("code", "ui", "daemon")
LOCATIONS = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"


@dataclass
class World:
    """The processes of one home, and Dagster's view of them."""

    home: Home
    instance: dg.DagsterInstance
    serving: GatewayServing
    ui: str

    def runs(self, **filters: object) -> list[dg.RunRecord]:
        return list(self.instance.get_run_records(dg.RunsFilter(job_name=f"{LOOP}__retrain", **filters)))  # type: ignore[arg-type]

    def worker(self) -> psutil.Process:
        """The process that executes the retrain now."""
        record = until(lambda: next(iter(r for r in self.runs(statuses=[dg.DagsterRunStatus.STARTED]) if PID in r.dagster_run.tags), None))
        return psutil.Process(int(record.dagster_run.tags[PID]))

    def child(self, module: str) -> psutil.Process:
        """The trainer or evaluator, once it runs."""
        return until(lambda: next(iter(_processes(self.home, f"-m {module} ")), None))


def _processes(home: Home, sign: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if sign in " ".join(process.cmdline()) and process.environ().get("FTASSETS_HOME") == str(home.root):
                found.append(process)
        except psutil.Error:
            continue
    return found


def until(look: Callable[[], object], seconds: float = 120.0):  # noqa: ANN201
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.2)
    raise TimeoutError("waited in vain")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[World]:
    """Everything of the tiny loop, begun; a test may change its settings."""
    folder = tmp_path / "loops" / LOOP
    folder.mkdir(parents=True)
    gates = [{"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.5}]
    rollout = {
        "steps": [50, 100],
        "interval": "8s",
        "min_requests": 3,
        "guardrails": FEW_USERS,
    }  # a look of a sensor costs a fifth of a CPU-second
    changes = {"sensor_interval": 8, "rollout": rollout, "gates": gates, **getattr(request, "param", {})}
    config = tiny_config(folder, taught_model(tmp_path / "base", "{}"), **changes)
    attributes = config.model_dump(mode="json", exclude_unset=True)
    (folder / "defs.yaml").write_text(yaml.safe_dump({"type": "ftassets.FineTuneLoop", "attributes": attributes}))
    (tmp_path / "killed_world.py").write_text(DEFINITIONS)
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    home = Home(tmp_path / "home")
    home.root.mkdir()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    monkeypatch.setenv("FTASSETS_HOME", str(home.root))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("FTASSETS_DAGSTER_STORAGE", str(home.dagster_storage))
    ports = free_ports()
    code = CodeLocation("killed_world", imports=str(tmp_path), directory=str(tmp_path))
    up(home, ports, loops=tmp_path / "loops", code=code, foreground=False)
    try:
        with dg.DagsterInstance.get() as instance:
            yield World(home, instance, GatewayServing(home), f"http://127.0.0.1:{ports.ui}")
    finally:
        down(home)


@pytest.mark.slow
@pytest.mark.timeout(720)
def test_the_loop_survives_kills(world: World) -> None:
    trainer = world.child("ftassets.workers.training")
    trainer.send_signal(signal.SIGKILL)  # as the kernel does when memory runs out
    until(lambda: any(p.pid != trainer.pid for p in _processes(world.home, "-m ftassets.workers.training ")))  # tried again
    assert len(world.runs()) == 1  # in the same run

    world.worker().send_signal(signal.SIGKILL)
    until(lambda: not _processes(world.home, "-m ftassets.workers.training "), 20)  # it does not outlive its run
    until(lambda: world.runs(tags={DIED: "true"}, statuses=[dg.DagsterRunStatus.FAILURE]))

    before = tree(world.home)
    for name in DAGSTER:
        before[name].kill()
    until(lambda: all(tree(world.home).get(name, before[name]).pid != before[name].pid for name in DAGSTER))

    world.child("ftassets.workers.training")
    worker = world.worker()
    for process in [worker, *tree(world.home).values()]:  # everything at once, supervisord too
        process.kill()
    until(lambda: len(world.runs(tags={DIED: "true"})) == 2)

    production = until(lambda: _production(world), 420)
    until(lambda: not world.runs(statuses=UNFINISHED), 60)
    statuses = [record.dagster_run.status for record in world.runs()]
    assert sorted(status.value for status in statuses) == ["FAILURE", "FAILURE", "SUCCESS"]
    verify(artifacts(world.home), production)
    store = GitDatasetStore(world.home.datasets)
    assert all(read_splits(store, "main", LOOP).values())
    address = json.loads((world.home.gateway / "address.json").read_text())["public"]
    body = {"model": LOOP, "messages": [{"role": "user", "content": "dim the lamp"}]}
    assert requests.post(f"{address}/v1/chat/completions", json=body, timeout=30).headers["x-ftassets-version"] == production
    assert "RepositoryLocation" in requests.post(f"{world.ui}/graphql", json={"query": LOCATIONS}, timeout=30).text

    kept = control(world.home)
    [loop] = read_loops(world.home.root.parent / "loops").values()
    cost = spending(kept, traffic_log(world.home), loop, time.time() + SILENCE)  # until then a killed node may be at work
    assert cost.outcomes == {Outcome.DIED: 2, Outcome.PROMOTED: 1}
    assert [each.version for each in cost.cycles if each.outcome is Outcome.PROMOTED] == [production] == list(cost.promoted)
    logs = [f"usage/{LOOP}/{name}" for name in kept.names(f"usage/{LOOP}") if name.endswith(".jsonl")]
    killed = [json.loads(kept.read(f"usage/{LOOP}/at_work/{name}") or b"{}") for name in kept.names(f"usage/{LOOP}/at_work")]
    killed = [each for each in killed if each.get("node") == "adapter"]
    assert len(killed) == 2
    assert min(each["usage"]["cpu_seconds"] for each in killed) > 0  # they were killed within a second or two
    over = [json.loads(line) for key in logs for line in kept.lines(key)]
    runs = {each.run_id for each in cost.cycles}
    by_hand = sum(each["usage"]["cpu_seconds"] for each in [*over, *killed] if each["run_id"] in runs)
    assert cost.making.usage.cpu_seconds == pytest.approx(by_hand)


LONG = {
    "epochs": 20, "batch_size": 4, "gradient_accumulation_steps": 1, "learning_rate": 1e-3, "lora_r": 4, "max_length": 128,
    "loss_limit": 10, "save_steps": 10,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.parametrize("world", [{"train": LONG}], indirect=True, ids=["long"])
def test_an_orderly_stop_hands_runs_back_and_they_go_on_from_their_checkpoint(world: World) -> None:
    world.child("ftassets.workers.training")
    until(lambda: newest_step(world.home.checkpoints / LOOP) >= 10)
    [before] = world.runs()
    done = {record.asset_materialization.asset_key.path[-1] for record in _materialized(world, before.dagster_run.run_id)}
    assert "curated_dataset" in done
    assert down(world.home)
    assert not tree(world.home)
    assert not _processes(world.home, "ftassets.workers.training")
    first, queued = sorted(world.runs(), key=lambda record: record.create_timestamp)
    assert (first.dagster_run.run_id, first.dagster_run.status) == (before.dagster_run.run_id, dg.DagsterRunStatus.CANCELED)
    assert queued.dagster_run.status is dg.DagsterRunStatus.QUEUED
    reached = newest_step(world.home.checkpoints / LOOP)

    ports = free_ports()
    folder = Path(os.environ["DAGSTER_HOME"])
    code = CodeLocation("killed_world", imports=str(folder), directory=str(folder))
    up(world.home, ports, loops=folder / "loops", code=code, foreground=False)
    until(lambda: _production(world), 300)
    until(lambda: not world.runs(statuses=UNFINISHED), 60)
    statuses = {record.dagster_run.run_id: record.dagster_run.status.value for record in world.runs()}
    assert statuses == {first.dagster_run.run_id: "CANCELED", queued.dagster_run.run_id: "SUCCESS"}, "none failed, none was started besides"
    again = {record.asset_materialization.asset_key.path[-1] for record in _materialized(world, queued.dagster_run.run_id)}
    assert not again & done, "what was done is not done again"
    [adapter] = [record.asset_materialization for record in _materialized(world, queued.dagster_run.run_id)
                 if record.asset_materialization.asset_key.path[-1] == "adapter"]  # fmt: skip
    assert adapter.metadata["resumed_at_steps"].value == str(reached), "it lost no step"


def _materialized(world: World, run_id: str) -> list[dg.EventLogRecord]:
    return list(world.instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records)


def _production(world: World) -> str | None:
    from ftassets.backends.serving.base import ServingError

    try:
        return world.serving.state(LOOP).production
    except ServingError:
        return None
