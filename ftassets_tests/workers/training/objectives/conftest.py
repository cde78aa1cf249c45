from pathlib import Path

import pytest

from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.sft import train


@pytest.fixture
def tuned(tmp_path: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[TrainingJob, TrainingResult]:
    """A fine-tuned version, and the job that made it."""
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    job = tiny_job(tmp_path / "tuned", tiny_base, epochs=4)
    return job, train(job, lambda _: None)
