"""Our DPO is TRL's, and what it makes is a version like any other."""

import math
from pathlib import Path

import pytest

from ftassets.backends.artifacts.version_folder import verify_folder
from ftassets.domain.training.job import TrainingJob, TrainingResult
from ftassets.testing.tiny_job import made_up_pairs, preference_job
from ftassets.workers.process import Terminated
from ftassets.workers.training import sft
from ftassets.workers.training.sft import train
from ftassets_tests.workers.training.objectives.trl_losses import trl_losses

pytestmark = [pytest.mark.slow, pytest.mark.models]

Tuned = tuple[TrainingJob, TrainingResult]
VERBS = ("dim", "light")


def test_its_losses_are_those_of_trl(tmp_path: Path, tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sft, "computes_bf16", lambda: False)
    job = preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest, VERBS, batch_size=8, beta=0.3)
    result = train(job, lambda _: None)
    theirs = trl_losses(job, tuned[1].base_digest, made_up_pairs(VERBS), tmp_path / "trl")
    assert [loss for _, loss in result.losses] == pytest.approx(theirs, abs=1e-4)
    assert result.first_loss == pytest.approx(math.log(2), abs=1e-6)  # nothing differs from the reference yet
    assert result.last_loss < 0.9 * result.first_loss


def test_it_makes_a_version_that_names_what_it_was_made_from(tmp_path: Path, tuned: Tuned) -> None:
    job = preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest)
    result = train(job, lambda _: None)
    manifest = verify_folder(job.versions / result.digest)
    assert result.digest != tuned[1].digest
    assert manifest.parent == tuned[1].digest
    rows = {"preferences_commit": "e" * 40, "preferences_hash": None}
    assert manifest.recipe["align"] == {"method": "dpo", "beta": 0.1, "held_out": 0.1, **rows}
    assert manifest.recipe["learning_rate"] == 1e-3
    assert manifest.dataset_commit == job.dataset_commit
    assert manifest.lineage == f"trained on preferences by dpo from {tuned[1].digest}"
    assert len(list((job.versions / result.digest / "adapter").rglob("*.safetensors"))) == 1, "the reference is not written with it"
    assert result.rows == 8
    assert result.validation_loss is not None


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_a_training_that_ends_and_goes_on_is_the_one_that_never_ended(tmp_path: Path, tuned: Tuned, method: str) -> None:
    whole = train(preference_job(tmp_path / "whole", tuned[0], tuned[1].digest, method=method), lambda _: None)
    job = preference_job(tmp_path / "stopped", tuned[0], tuned[1].digest, method=method)
    asked: list[None] = []

    def stop_asked() -> bool:
        asked.append(None)
        return len(asked) >= 3

    with pytest.raises(Terminated, match="after step 3:"):
        train(job, lambda _: None, stop_asked=stop_asked)
    again = train(job, lambda _: None)
    assert again.resumed_at == [3]
    assert (again.digest, again.losses, again.validation_losses) == (whole.digest, whole.losses, whole.validation_losses)


def test_a_checkpoint_of_another_beta_is_not_used(tmp_path: Path, tuned: Tuned) -> None:
    job = preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest)
    other = preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest, beta=0.5)
    with pytest.raises(Terminated, match="after step 1:"):
        train(job, lambda _: None, stop_asked=lambda: True)
    assert train(other, lambda _: None).resumed_at == []


def test_what_the_reference_reads_is_in_the_estimate(tmp_path: Path, tuned: Tuned) -> None:
    from transformers import AutoTokenizer

    from ftassets.workers.training.objectives import objectives_of

    tokenizer = AutoTokenizer.from_pretrained(tuned[0].base_model)
    pairs, held_out = objectives_of(tokenizer, preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest), lambda _: None)
    tokens, answers = pairs.forward_only(4)
    assert tokens == sum(len(row.ids) for row in pairs.texts)
    assert 0 < answers < tokens
    rated, _ = objectives_of(tokenizer, preference_job(tmp_path / "kto", tuned[0], tuned[1].digest, method="kto"), lambda _: None)
    assert rated.forward_only(4)[0] > 5 * sum(len(row.ids) for row in rated.texts) * 0.9  # once, and other answers once and in each epoch
    assert (len(pairs), len(held_out), len(rated)) == (8, 4, 14)


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_held_out_rows_that_are_all_too_long_need_no_reading(tmp_path: Path, tuned: Tuned, method: str) -> None:
    from transformers import AutoTokenizer

    from ftassets.workers.training.objectives import objectives_of

    job = preference_job(tmp_path / "job", tuned[0], tuned[1].digest, method=method)
    job = job.model_copy(update={"train": job.train.model_copy(update={"max_length": 16})})
    _, held_out = objectives_of(AutoTokenizer.from_pretrained(tuned[0].base_model), job, lambda _: None)
    assert (len(held_out), held_out.forward_only(3)) == (0, (0, 0))


def test_rows_that_are_too_long_are_counted(tmp_path: Path, tuned: Tuned) -> None:
    job = preference_job(tmp_path / "dpo", tuned[0], tuned[1].digest, epochs=1)
    job = job.model_copy(update={"train": job.train.model_copy(update={"max_length": 16, "max_left_out": 1.0})})
    with pytest.raises(sft.TrainingStopped, match="none of the rows can be taught"):
        train(job, lambda _: None)
