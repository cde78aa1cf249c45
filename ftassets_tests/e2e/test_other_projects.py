"""Runs in somebody else's Dagster project: its default executor, selected assets, a code server and a run killed at any point."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg
import psutil
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.client import DagsterGrpcClient

from ftassets.assets._shared.run_nodes import LOOP as LOOP_TAG
from ftassets.automation.ownership import DIED, PID, RUN_ID
from ftassets.automation.reconcile import Watch
from ftassets.processes.up import free_ports
from ftassets.testing.tiny_loop import LOOP, tiny_config
from ftassets_tests import ROOT

DEFINITIONS = """
import subprocess, sys, time
from pathlib import Path
import dagster as dg
from ftassets.components.fine_tune_loop import build_loop
from ftassets.components.resources import resources
from ftassets.config.loop import LoopConfig

HERE = Path(__file__).parent

@dg.asset(deps=[dg.AssetKey(["tiny", "seed_examples"])])
def between():
    (HERE / "between").touch()
    while not (HERE / "go").exists():
        time.sleep(0.1)

@dg.asset(deps=[between])
def after(home: dg.ResourceParam[object]):
    trainer = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (HERE / "after").write_text(str(trainer.pid))
    trainer.wait()

loop = LoopConfig.model_validate_json((HERE / "loop.json").read_text())
defs = dg.Definitions.merge(build_loop(loop), dg.Definitions(assets=[between, after], resources=resources()))
"""
LAUNCH = """
mutation ($location: String!, $keys: [AssetKeyInput!]!) {
  launchPipelineExecution(executionParams: {
    selector: {repositoryLocationName: $location, repositoryName: "__repository__", pipelineName: "__ASSET_JOB", assetSelection: $keys},
    runConfigData: {}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
S = dg.DagsterRunStatus
T = TypeVar("T")


def until(look: Callable[[], T | None], seconds: float = 120.0) -> T:
    """What `look` finds, as soon as it finds something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.1)
    raise TimeoutError("waited in vain")


@dataclass
class Project:
    """A project with its own code server, and the reconcile sensor's view of its runs."""

    folder: Path
    instance: dg.DagsterInstance
    watch: Watch = field(default_factory=lambda: Watch(LOOP))
    ended: list[str] = field(default_factory=list)

    @contextmanager
    def code_server(self) -> Iterator[psutil.Process]:
        """`dagster api grpc`, which starts a process for each run."""
        self.port = free_ports().code
        command = [sys.executable, "-m", "dagster", "api", "grpc", "--python-file", "theirs.py", "--port", str(self.port)]
        server = subprocess.Popen([*command, "--location-name", "theirs"], cwd=self.folder)
        try:
            until(self._answers)
            yield psutil.Process(server.pid)
        finally:
            server.kill()
            server.wait()

    def _answers(self) -> bool:
        with suppress(Exception):
            return bool(DagsterGrpcClient(port=self.port, host="localhost").ping("x"))
        return False

    def materialize_selected(self, *keys: str) -> str:
        """What the button of the UI does; the run's id."""
        from dagster_graphql.test.utils import execute_dagster_graphql

        target = GrpcServerTarget("localhost", self.port, None, "theirs")
        with WorkspaceProcessContext(self.instance, target) as workspace:
            context = workspace.create_request_context()
            asked = {"location": "theirs", "keys": [{"path": key.split("/")} for key in keys]}
            answer: Any = execute_dagster_graphql(context, LAUNCH, asked).data
            run_id = answer["launchPipelineExecution"]["run"]["runId"]
            run = self.instance.get_run_by_id(run_id)
            assert run is not None
            if run.status is S.QUEUED:  # the daemon does it where one runs
                self.instance.launch_run(run_id, context)
            return str(run_id)

    def run(self, run_id: str) -> dg.DagsterRun:
        """The run, after a tick of the reconcile sensor."""
        self.ended += self.watch.end_dead_runs(self.instance)
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def marked(self, name: str) -> Path | None:
        """The file that a step makes once it runs."""
        return path if (path := self.folder / name).exists() and (name == "between" or path.read_text()) else None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    loop = tiny_config(tmp_path, tmp_path / "base")
    (tmp_path / "loop.json").write_text(loop.model_dump_json(exclude_unset=True))
    (tmp_path / "theirs.py").write_text(DEFINITIONS)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv(RUN_ID, raising=False)
    with dg.DagsterInstance.get() as instance:
        yield Project(tmp_path, instance)


@pytest.mark.timeout(300)
def test_a_run_between_its_steps_lives_also_without_its_code_server_and_a_dead_one_is_ended(project: Project) -> None:
    with project.code_server() as server:
        run_id = project.materialize_selected(f"{LOOP}/seed_examples", "between", "after")
        until(lambda: (project.run(run_id), project.marked("between"))[1])
        run = project.run(run_id)
        assert LOOP_TAG not in run.tags
        assert run.status is S.STARTED
        worker = psutil.Process(int(run.tags[PID]))
        assert worker.ppid() == server.pid  # and not the step, which has ended
        server.kill()  # alone: its run goes on
    (project.folder / "go").touch()
    trainer = psutil.Process(int(until(lambda: (project.run(run_id), project.marked("after"))[1]).read_text()))
    assert project.ended == []
    assert project.run(run_id).status is S.STARTED

    step = trainer.parent()
    assert step is not None
    for process in (worker, step):
        process.send_signal(signal.SIGKILL)
    assert until(lambda: project.run(run_id).is_finished)
    ended = project.run(run_id)
    assert (ended.status, ended.tags[DIED], project.ended) == (S.FAILURE, "true", [run_id])
    psutil.wait_procs([trainer], timeout=10)
    assert not trainer.is_running() or trainer.status() == psutil.STATUS_ZOMBIE
