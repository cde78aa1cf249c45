"""What every trainer must do, wherever its process runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
import pytest

from ftassets.backends.artifacts.version_folder import verify_folder
from ftassets.backends.trainer.base import Trainer, TrainingFailed, TrainingKilled
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import tiny_job
from ftassets.testing.tiny_model import make_tiny_model

MakeTrainer = Callable[[Sequence[str]], Trainer]


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


class TrainerContract:
    """Subclass it with a fixture `make`: a function that makes a trainer whose process is `python ARGUMENTS JOB`."""

    trains_for_real = True  # false where another test trains with this trainer

    @pytest.fixture
    def make(self) -> MakeTrainer:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def script(self, make: MakeTrainer, tmp_path: Path) -> Callable[[str], Trainer]:
        return lambda body: make([write_script(tmp_path, body)])

    @pytest.fixture
    def job(self, tmp_path: Path) -> TrainingJob:
        return tiny_job(tmp_path / "job", tmp_path / "base", batch_size=8, gradient_accumulation_steps=2)

    def test_a_real_training_comes_back_with_a_published_version(
        self, make: MakeTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not self.trains_for_real:
            pytest.skip("takes half a minute, and another test does it")
        monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
        job = tiny_job(tmp_path / "job", make_tiny_model(tmp_path / "base"), epochs=1)
        result = run(make(["-m", "ftassets.workers.training"]), job)
        assert verify_folder(job.versions / result.digest).base_digest == result.base_digest

    def test_exit_0_without_a_result_is_a_failure(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        with pytest.raises(TrainingFailed, match="reported no result"):
            run(script("with open_dagster_pipes(): pass\n"), job)

    def test_a_result_with_holes_is_a_failure(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        with pytest.raises(TrainingFailed, match="incomplete result.*digest"):
            run(script("with open_dagster_pipes() as pipes: pipes.report_custom_message({'steps': 3})\n"), job)

    def test_a_result_without_its_version_is_a_failure(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        claimed = {
            "digest": "a" * 64, "base_digest": "b" * 64, "steps": 1, "rows": 1, "train_seconds": 1, "tokens_per_second": 1,
            "trainable_parameters": 1, "first_loss": 1, "last_loss": 1, "validation_loss": None, "losses": [],
        }  # fmt: skip
        with pytest.raises(TrainingFailed, match="not there"):
            run(script(f"with open_dagster_pipes() as pipes: pipes.report_custom_message({claimed!r})\n"), job)

    def test_a_killed_process_is_named_with_what_to_change(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        with pytest.raises(TrainingKilled, match="memory.*batch_size to 2 and train.gradient_accumulation_steps to 8"):
            run(script("os.kill(os.getpid(), 9)\n"), job)

    def test_the_sentence_of_the_process_is_passed_on(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        body = "pathlib.Path(sys.argv[1]).with_suffix('.failed').write_text('the loss rose')\nsys.exit(2)\n"
        with pytest.raises(TrainingFailed, match="^the loss rose$"):
            run(script(body), job)

    def test_an_old_sentence_is_not_taken_for_a_new_one(self, script: Callable[[str], Trainer], job: TrainingJob) -> None:
        job.work.mkdir(parents=True)
        (job.work / "job.failed").write_text("of last week")
        with pytest.raises(TrainingFailed, match="exit code 3"):
            run(script("sys.exit(3)\n"), job)
