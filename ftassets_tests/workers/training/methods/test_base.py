"""What holds of every training method: it learns, what is served is what was trained, it resumes, and a retrain continues it."""

from pathlib import Path
from typing import Any

import pytest

from ftassets.backends.artifacts.version_folder import read_manifest
from ftassets.domain.release.version import ADAPTER, MERGED
from ftassets.domain.training.divergence import TrainingStopped
from ftassets.domain.training.method import METHODS as FACTS
from ftassets.domain.training.method import continued_folder
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.methods import METHODS
from ftassets.workers.training.sft import train
from ftassets_tests.workers.training.test_steps import end_after

pytestmark = [pytest.mark.slow, pytest.mark.models]

QUICK: dict[str, dict[str, Any]] = {
    "lora": {},
    "qlora": {},
    "prefix": {"prefix_tokens": 8, "learning_rate": 3e-2, "epochs": 6},
    "full": {"learning_rate": 3e-3},
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))


def job_of(method: str, folder: Path, base: Path, **changes: Any) -> Any:
    return tiny_job(folder, base, method=method, **{**QUICK[method], **changes})


def test_the_table_of_methods_is_that_of_their_modules() -> None:
    assert FACTS.keys() == METHODS.keys() == QUICK.keys()


@pytest.mark.parametrize("method", METHODS)
def test_a_version_learns_names_its_method_and_can_be_continued(tmp_path: Path, tiny_base: Path, method: str) -> None:
    job = job_of(method, tmp_path / "first", tiny_base)
    first = train(job, lambda _: None)
    assert first.last_loss < 0.95 * first.first_loss
    assert first.trainable_parameters > 0
    manifest = read_manifest(job.versions / first.digest)
    assert (manifest.kind, manifest.training["method"]) == (METHODS[method].kind, method)
    assert not any(name in manifest.training for of in FACTS.values() for name in of.settings if name not in FACTS[method].settings)
    folder, why = continued_folder(method, manifest)
    assert why is None
    assert folder is not None
    again = train(job_of(method, tmp_path / "second", tiny_base, start_from=job.versions / first.digest / folder), lambda _: None)
    assert again.first_loss < 0.95 * first.first_loss
    assert again.lineage == f"continues from {first.digest}"
    assert train(job_of(method, tmp_path / "third", tiny_base), lambda _: None).digest == first.digest


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_ends_and_resumes_is_the_one_that_never_ended(tmp_path: Path, tiny_base: Path, method: str) -> None:
    changes = {"save_steps": 1, "early_stopping_patience": 3}
    whole = train(job_of(method, tmp_path / "whole", tiny_base, **changes), lambda _: None)
    job = job_of(method, tmp_path / "stopped", tiny_base, **changes)
    end_after(job, 3)
    again = train(job, lambda _: None)
    assert again.resumed_at == [3]
    assert (again.digest, again.losses, again.validation_losses) == (whole.digest, whole.losses, whole.validation_losses)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_served_is_what_was_trained(tmp_path: Path, tiny_base: Path, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    seen: list[Any] = []
    save = METHODS[method].save

    def looked_at(self: Any, model: Any, tokenizer: Any, version: Path) -> None:
        ids = torch.tensor([tokenizer.apply_chat_template(ASKED, add_generation_prompt=True)["input_ids"]])
        with torch.inference_mode():
            seen.append((ids, model.eval().float()(input_ids=ids).logits[0, -1]))
        save(self, model, tokenizer, version)

    if method == "qlora":
        pytest.skip("trained on 4 bits, merged into the whole base: by design not the same")
    monkeypatch.setattr(METHODS[method], "save", looked_at)
    job = job_of(method, tmp_path / "first", tiny_base)
    merged = job.versions / train(job, lambda _: None).digest / MERGED
    (ids, trained), tokenizer = seen[0], AutoTokenizer.from_pretrained(merged)
    assert tokenizer.apply_chat_template(ASKED, add_generation_prompt=True)["input_ids"] == ids[0].tolist()
    with torch.inference_mode():
        served = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)(input_ids=ids).logits[0, -1]
    assert served.argmax() == trained.argmax()
    assert torch.allclose(served, trained, atol=0.2)


ASKED = [{"role": "system", "content": "Answer as JSON."}, {"role": "user", "content": "dim the light in the hall"}]


def test_another_method_starts_cold_unless_it_can_begin_anywhere(tmp_path: Path, tiny_base: Path) -> None:
    job = job_of("lora", tmp_path / "lora", tiny_base)
    digest = train(job, lambda _: None).digest
    manifest = read_manifest(job.versions / digest)
    assert continued_folder("qlora", manifest) == (ADAPTER, None)
    assert continued_folder("full", manifest) == (MERGED, None)
    assert continued_folder("prefix", manifest) == (None, "prefix cannot continue a version that was trained with lora")
    whole = train(job_of("full", tmp_path / "full", tiny_base, start_from=job.versions / digest / MERGED), lambda _: None)
    assert whole.lineage == f"continues from {digest}"
    assert continued_folder("lora", read_manifest(job.versions / whole.digest))[0] is None
    cold = job_of("prefix", tmp_path / "prefix", tiny_base).model_copy(update={"not_continued": "prefix cannot continue lora"})
    assert train(cold, lambda _: None).lineage == "starts from the untuned base (prefix cannot continue lora)"


def test_another_number_of_learned_tokens_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    job = job_of("prefix", tmp_path / "first", tiny_base, epochs=1)
    start = job.versions / train(job, lambda _: None).digest / ADAPTER
    with pytest.raises(TrainingStopped, match="prefix_tokens 8, and train asks for 4"):
        train(job_of("prefix", tmp_path / "second", tiny_base, prefix_tokens=4, start_from=start), lambda _: None)
