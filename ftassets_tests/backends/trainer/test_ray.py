"""Trainings on a real Ray cluster of two nodes, of which each part is killed once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from ftassets import metering
from ftassets.assets._shared import tracking
from ftassets.assets._shared.events import node
from ftassets.assets._shared.tracking import tracked
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.version_folder import read_manifest
from ftassets.backends.registry.mlflow import MlflowRegistry
from ftassets.backends.trainer.attempts import train_through
from ftassets.backends.trainer.by_loop import TrainerByLoop
from ftassets.backends.trainer.ray import RayTrainer
from ftassets.backends.trainer.stored_checkpoints import reached_step
from ftassets.backends.trainer.subprocess import SubprocessTrainer
from ftassets.cli.commands.doctor import _ray
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.usage import Usage
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.job import TrainingJob
from ftassets.testing.contracts.trainer import run
from ftassets.testing.made_once import mlflow_tables
from ftassets.testing.ray_cluster import RayCluster, ray_cluster
from ftassets.testing.releases import loop_config
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_model import make_tiny_model
from ftassets.workers.process import TERMINATED, last_words, write_job
from ftassets_tests import ROOT

pytest.importorskip("ray", reason="needs the extra ray: pip install 'ftassets[ray]'")

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(400)]

SETTINGS: dict[str, Any] = {"epochs": 20, "batch_size": 4, "lora_dropout": 0.3, "save_steps": 4, "learning_rate": 1e-3}
LOCAL = (
    "import sys; from pathlib import Path; from ftassets.workers.training.sft import train; "
    "from ftassets.domain.training.job import TrainingJob; "
    "print(train(TrainingJob.model_validate_json(Path(sys.argv[1]).read_text()), lambda _: None, 2).model_dump_json())"
)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """With a short path: Ray's sockets are below it."""
    with tempfile.TemporaryDirectory(prefix="ray-") as made:
        yield Path(made)


@pytest.fixture(scope="module")
def base(folder: Path) -> Path:
    return make_tiny_model(folder / "base")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[RayCluster]:
    here = {"PYTHONPATH": str(ROOT), "FTASSETS_CACHE": str(folder / "nodes_cache"), "GLOO_SOCKET_IFNAME": "lo"}
    with ray_cluster(folder / "c", 2, here) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def uninterrupted(folder: Path, base: Path) -> dict[str, Any]:
    """The same training on two cores of this machine."""
    job = tiny_job(folder / "local" / "job", base, **SETTINGS)
    (folder / "local.json").write_text(job.model_dump_json())
    here = {**os.environ, "PYTHONPATH": str(ROOT), "FTASSETS_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", LOCAL, str(folder / "local.json")], capture_output=True, text=True, env=here, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def on_ray(folder: Path, base: Path, cluster: RayCluster, **changes: Any) -> TrainingJob:
    return tiny_job(folder, base, **SETTINGS, ray={"address": cluster.address, "workers": 2, **changes})


def reached(job: TrainingJob) -> int:
    return reached_step(FolderArtifacts(job.home), job.loop, job.home / "none")


def until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def started(job: TrainingJob) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ftassets.workers.training.on_ray", str(write_job(job, job.work / "job.json"))]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_the_curve_of_a_training_is_in_mlflow_and_on_its_page_while_it_runs(tmp_path, base, cluster, uninterrupted, monkeypatch):
    """Also of one whose workers are killed: no step is there twice."""
    monkeypatch.setattr(tracking, "EVERY", 0.2)
    monkeypatch.setattr(tracking, "shown_again", lambda since_start, since_shown: True)
    mlflow_tables(tmp_path)
    registry = MlflowRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path / "artifacts")
    job = on_ray(tmp_path / "job", base, cluster)
    seen: dict[str, Any] = {}

    def losses() -> list[tuple[int, float]]:
        run_id = seen["run"].run_id
        return [(each.step, each.value) for each in registry._client().get_metric_history(run_id, "loss")]

    def follow() -> None:
        until(lambda: "run" in seen and len(losses()) >= 4)
        seen["early"] = losses()
        until(lambda: reached(job) >= 8)
        cluster.workers()[0].kill()

    with dg.DagsterInstance.ephemeral() as instance:

        @dg.multi_asset(name="adapter", specs=[dg.AssetSpec(node("tiny", "adapter"))])
        def adapter(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
            with tracked(registry, None, job, context, False) as seen["run"]:
                result = train_through(RayTrainer(), job, FolderArtifacts(job.home), context)
                seen["run"].finish(read_manifest(job.versions / result.digest), None, result.numbers)
                seen["result"] = result
            return dg.MaterializeResult(asset_key=context.asset_key)

        follower = threading.Thread(target=follow)
        follower.start()
        assert dg.materialize([adapter], instance=instance).success
        follower.join()
        shown = instance.fetch_observations(node("tiny", "adapter"), limit=1000).records
    assert 4 <= len(seen["early"]) < len(seen["result"].losses), "while it ran"
    assert seen["result"].resumed_at
    assert losses() == seen["result"].losses == [(step, loss) for step, loss in uninterrupted["losses"]]
    steps = [int(str(record.asset_observation.metadata["step"].value)) for record in shown if record.asset_observation][::-1]
    assert steps == sorted(steps)
    assert len(set(steps)) > 1, "it grows"


def test_a_worker_that_is_killed_costs_the_steps_since_its_checkpoint_only(tmp_path, folder, base, cluster, uninterrupted):
    job = on_ray(tmp_path / "job", base, cluster)

    def kill() -> None:
        until(lambda: reached(job) >= 8)
        assert len(cluster.workers()) == 2
        cluster.workers()[-1].kill()

    killer = threading.Thread(target=kill)
    used: list[Usage] = []
    with metering.metered(used.append):
        killer.start()
        result = run(TrainerByLoop(SubprocessTrainer(("-c", "raise SystemExit(9)")), RayTrainer()), job)
    killer.join()
    assert result.resumed_at
    assert result.resumed_at[0] >= 8
    assert result.digest == uninterrupted["digest"], "byte by byte that of two processes of one machine"
    assert [list(loss) for loss in result.losses] == uninterrupted["losses"]
    of_workers = Usage.model_validate_json((job.work / "ray.usage").read_bytes())
    assert of_workers.cpu_seconds > 5, "imports, steps and the version, in four processes"
    assert used[-1].cpu_seconds > of_workers.cpu_seconds
    trained = sum(loss is not None for loss in result.losses)
    assert used[-1].tokens_trained >= of_workers.tokens_trained > trained


def test_a_training_resumes_after_it_was_asked_to_end_and_after_its_head_was_killed(tmp_path, base, cluster, uninterrupted):
    job = on_ray(tmp_path / "job", base, cluster)
    with started(job) as process:
        until(lambda: reached(job) >= 4)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == TERMINATED, errors
    assert "resumes from there" in (last_words(job.work / "job.json") or "")
    before = reached(job)
    assert 4 < before < 80
    until(lambda: not cluster.workers(), 30)

    shutil.rmtree(job.checkpoints)  # as on another machine
    with started(job) as process:
        until(lambda: reached(job) > before)
        cluster.kill_head()
        _, errors = process.communicate(timeout=120)
        assert process.returncode == TERMINATED, errors
    assert "was lost" in (last_words(job.work / "job.json") or "")
    cluster.end()
    cluster.start_head()
    cluster.start_node()
    before = reached(job)
    shutil.rmtree(job.checkpoints)
    result = run(RayTrainer(), job)
    assert result.resumed_at[-1] == before
    assert len(result.resumed_at) == 2, "once after it was asked to end, once after the head was killed"
    assert result.digest == uninterrupted["digest"]


def test_doctor_says_whether_the_workers_of_a_loop_have_room(cluster):
    def asked(workers: int) -> LoopConfig:
        return loop_config(f"of_{workers}", train={"batch_size": 6, "ray": {"address": cluster.address, "workers": workers}})

    begun = time.monotonic()
    found = list(_ray([asked(2), asked(3)]))
    assert time.monotonic() - begun < 60
    assert [(each.subject, each.ok) for each in found] == [
        (f"Ray at {cluster.address}", True), ("Ray workers of of_2", True), ("Ray workers of of_3", False),
    ]  # fmt: skip
    assert found[0].text == "2 nodes, with the software of this machine"
    assert found[2].text.startswith("room for 2 of 3 workers with CPU 1 each (PACK) on 2 nodes: ")


def test_a_node_with_other_software_is_named():
    from ftassets.workers.training.ray_worker import check_software, software

    check_software(software())
    with pytest.raises(TrainingStopped, match=r"torch .* instead of 1\.0: give it the same image"):
        check_software({**software(), "torch": "1.0"})


def test_a_cluster_that_does_not_answer_is_named(tmp_path, base, monkeypatch):
    from ftassets.workers.training import on_ray as driver

    monkeypatch.setattr(driver, "CONNECT_WITHIN", 0.0)
    job = tiny_job(tmp_path / "job", base, ray={"address": "ray://127.0.0.1:9"})
    with pytest.raises(TrainingStopped, match=r"ray://127\.0\.0\.1:9 cannot be reached"):
        driver.train_on_ray(job, lambda _: None)
