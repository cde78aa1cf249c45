import os
from pathlib import Path

import dagster as dg
import pytest

from ftassets.domain.training import TrainingJob, TrainingResult
from ftassets.resources.trainer.base import TrainingFailed
from ftassets.resources.trainer.embedded import SubprocessTrainer
from ftassets.resources.versions import verify
from ftassets_tests.tiny_model import make_tiny_model
from ftassets_tests.training.jobs import tiny_job


def run(trainer: SubprocessTrainer, job: TrainingJob) -> TrainingResult:
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


def script(folder: Path, body: str) -> SubprocessTrainer:
    """A trainer whose process is a few lines of Python."""
    path = folder / "stand_in.py"
    path.write_text("import os, sys, pathlib\nfrom dagster_pipes import open_dagster_pipes\n" + body)
    return SubprocessTrainer((str(path),))


@pytest.fixture
def job(tmp_path: Path) -> TrainingJob:
    return tiny_job(tmp_path / "job", tmp_path / "base", batch_size=8, accumulation=2)


def test_a_real_training_comes_back_with_a_published_version(tmp_path, monkeypatch):
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")])))
    job = tiny_job(tmp_path / "job", make_tiny_model(tmp_path / "base"), epochs=1)
    result = run(SubprocessTrainer(), job)
    assert verify(job.versions, result.digest).base_digest == result.base_digest


def test_exit_0_without_a_result_is_a_failure(tmp_path, job):
    with pytest.raises(TrainingFailed, match="reported no result"):
        run(script(tmp_path, "with open_dagster_pipes(): pass\n"), job)


def test_a_result_with_holes_is_a_failure(tmp_path, job):
    with pytest.raises(TrainingFailed, match="incomplete result.*digest"):
        run(script(tmp_path, "with open_dagster_pipes() as pipes: pipes.report_custom_message({'steps': 3})\n"), job)


def test_a_result_without_its_version_is_a_failure(tmp_path, job):
    claimed = {
        "digest": "a" * 64, "base_digest": "b" * 64, "steps": 1, "rows": 1, "train_seconds": 1, "tokens_per_second": 1,
        "trainable_parameters": 1, "first_loss": 1, "last_loss": 1, "validation_loss": None, "losses": [],
    }  # fmt: skip
    with pytest.raises(TrainingFailed, match="not there"):
        run(script(tmp_path, f"with open_dagster_pipes() as pipes: pipes.report_custom_message({claimed!r})\n"), job)


def test_a_killed_process_is_named_with_what_to_change(tmp_path, job):
    with pytest.raises(TrainingFailed, match="memory.*batch_size to 2 and train.accumulation to 8"):
        run(script(tmp_path, "os.kill(os.getpid(), 9)\n"), job)


def test_the_sentence_of_the_process_is_passed_on(tmp_path, job):
    body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('the loss rose')\nsys.exit(2)\n"
    with pytest.raises(TrainingFailed, match="^the loss rose$"):
        run(script(tmp_path, body), job)


def test_an_old_sentence_is_not_taken_for_a_new_one(tmp_path, job):
    job.work.mkdir(parents=True)
    (job.work / "job.failed").write_text("of last week")
    with pytest.raises(TrainingFailed, match="exit code 3"):
        run(script(tmp_path, "sys.exit(3)\n"), job)
