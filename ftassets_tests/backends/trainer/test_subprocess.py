"""What every trainer owes, on this machine and in a pod."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
import yaml

from ftassets.backends.artifacts.version_folder import verify_folder
from ftassets.backends.trainer.base import Trainer, TrainingFailed, TrainingKilled
from ftassets.backends.trainer.kubernetes import KubernetesTrainer
from ftassets.backends.trainer.subprocess import SubprocessTrainer
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.doubles.kubernetes import cluster, pod_manifest
from ftassets.testing.tiny_model import make_tiny_model
from ftassets_tests import ROOT
from ftassets_tests.workers.training.jobs import tiny_job

Make = Callable[[Sequence[str]], Trainer]


def run(trainer: Trainer, job: TrainingJob) -> TrainingResult:
    """What the trainer returns within a Dagster run."""
    results: list[TrainingResult] = []

    @dg.op
    def training(context: dg.OpExecutionContext) -> None:
        results.append(trainer.train(job, context))

    @dg.job(executor_def=dg.in_process_executor)
    def the_job() -> None:
        training()

    try:
        the_job.execute_in_process(raise_on_error=True)
    except TrainingFailed:
        assert not results
        raise
    return results[0]


def write_script(folder: Path, body: str) -> str:
    """A process of a few lines of Python that stands in for the training."""
    path = folder / "stand_in.py"
    path.write_text("import os, sys, pathlib, time\nfrom dagster_pipes import open_dagster_pipes\n" + body)
    return str(path)


@pytest.fixture(params=["embedded", "kubernetes"])
def make(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes a trainer that runs `python ARGUMENTS JOB`."""
    if request.param == "embedded":
        yield lambda arguments: SubprocessTrainer(tuple(arguments))
        return
    manifest = tmp_path / "pod.yaml"
    manifest.write_text(yaml.safe_dump(pod_manifest(tmp_path)))
    with cluster(tmp_path) as (here, kubeconfig):
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        yield lambda arguments: KubernetesTrainer(manifest, tmp_path, tmp_path / "cache", (sys.executable, *arguments), poll=0.05)
        assert len(here.every) == 1
        assert not here.pods, "a pod is deleted when it is done"


@pytest.fixture
def script(make: Make, tmp_path: Path) -> Callable[[str], Trainer]:
    return lambda body: make([write_script(tmp_path, body)])


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return tiny_job(tmp_path / "job", tmp_path / "base", batch_size=8, gradient_accumulation_steps=2)


@pytest.mark.parametrize("make", ["kubernetes"], indirect=True)  # the embedded one trains for real in test_faults.py
def test_a_real_training_comes_back_with_a_published_version(make, tmp_path, monkeypatch):
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    job = tiny_job(tmp_path / "job", make_tiny_model(tmp_path / "base"), epochs=1)
    result = run(make(["-m", "ftassets.workers.training"]), job)
    assert verify_folder(job.versions / result.digest).base_digest == result.base_digest


def test_exit_0_without_a_result_is_a_failure(script, job):
    with pytest.raises(TrainingFailed, match="reported no result"):
        run(script("with open_dagster_pipes(): pass\n"), job)


def test_a_result_with_holes_is_a_failure(script, job):
    with pytest.raises(TrainingFailed, match="incomplete result.*digest"):
        run(script("with open_dagster_pipes() as pipes: pipes.report_custom_message({'steps': 3})\n"), job)


def test_a_result_without_its_version_is_a_failure(script, job):
    claimed = {
        "digest": "a" * 64, "base_digest": "b" * 64, "steps": 1, "rows": 1, "train_seconds": 1, "tokens_per_second": 1,
        "trainable_parameters": 1, "first_loss": 1, "last_loss": 1, "validation_loss": None, "losses": [],
    }  # fmt: skip
    with pytest.raises(TrainingFailed, match="not there"):
        run(script(f"with open_dagster_pipes() as pipes: pipes.report_custom_message({claimed!r})\n"), job)


def test_a_killed_process_is_named_with_what_to_change(script, job):
    with pytest.raises(TrainingKilled, match="memory.*batch_size to 2 and train.gradient_accumulation_steps to 8"):
        run(script("os.kill(os.getpid(), 9)\n"), job)


def test_the_sentence_of_the_process_is_passed_on(script, job):
    body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('the loss rose')\nsys.exit(2)\n"
    with pytest.raises(TrainingFailed, match="^the loss rose$"):
        run(script(body), job)


def test_an_old_sentence_is_not_taken_for_a_new_one(script, job):
    job.work.mkdir(parents=True)
    (job.work / "job.failed").write_text("of last week")
    with pytest.raises(TrainingFailed, match="exit code 3"):
        run(script("sys.exit(3)\n"), job)
