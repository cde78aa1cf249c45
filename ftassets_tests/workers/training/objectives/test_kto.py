"""Our KTO is TRL's."""

import os
from pathlib import Path

import numpy as np
import pytest

from ftassets.backends.artifacts.version_folder import read_manifest
from ftassets.domain.training.class_weights import rating_weights
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import made_up_pairs, preference_job, rated_apart
from ftassets.workers.training import sft
from ftassets.workers.training.sft import train
from ftassets_tests.workers.training.objectives.trl_losses import trl_losses

pytestmark = [pytest.mark.slow, pytest.mark.models]

Tuned = tuple[TrainingJob, TrainingResult]
VERBS = ("dim", "light")


def test_its_losses_are_those_of_trl(tmp_path: Path, tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sft, "computes_bf16", lambda: False)
    rows = rated_apart(made_up_pairs(VERBS))
    job = preference_job(tmp_path / "kto", tuned[0], tuned[1].digest, VERBS, method="kto", batch_size=len(rows), beta=0.3)
    result = train(job, lambda _: None)
    # TRL gives each request of a batch the answer of the row before it
    order = np.random.default_rng(job.train.seed).permutation(len(rows))[::-1]
    up, down = rating_weights(6, 8)
    weights = {"desirable_weight": up, "undesirable_weight": down}
    arranged = [rows[place] for place in order]
    theirs = trl_losses(job, tuned[1].base_digest, arranged, tmp_path / "trl", train_sampling_strategy="sequential", **weights)
    assert [loss for _, loss in result.losses] == pytest.approx(theirs, abs=1e-4)
    assert result.last_loss < 0.95 * result.first_loss


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or (os.cpu_count() or 1) < 2, reason="needs two cores")
@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_two_processes_take_the_steps_of_one(tmp_path: Path, tuned: Tuned, method: str) -> None:
    from ftassets_tests.workers.training.test_steps import ended, worker

    last: list[float] = []
    for cores in (1, 2):
        before = {path.name for path in tuned[0].versions.iterdir()}
        job = preference_job(tmp_path / f"cores-{cores}", tuned[0], tuned[1].digest, method=method, learning_rate=1e-4)
        exit_code, said = ended(job, worker(job, cores))
        assert exit_code == 0, said
        [made] = [path for path in tuned[0].versions.iterdir() if path.name not in before]
        last.append(read_manifest(made).metrics["last_loss"])
    assert last[0] != last[1], "rounding differs"
    # what KTO estimates from a batch both estimate from all of its rows; in bf16 other batches round otherwise
    assert last[1] == pytest.approx(last[0], rel=1e-2)
