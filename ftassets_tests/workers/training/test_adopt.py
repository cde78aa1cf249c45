import json
import shutil
from pathlib import Path

import pytest

from ftassets.backends.artifacts.version_folder import read_manifest, verify_folder
from ftassets.domain.release.adoption import AdoptionJob, AdoptionRefused
from ftassets.domain.release.version import ADAPTER
from ftassets.testing.tiny_job import tiny_job
from ftassets.workers.training.adopt import adopt
from ftassets.workers.training.sft import train

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Path:
    """A version's folder, made by a training of ours."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTASSETS_CACHE", str(folder / "cache"))
        job = tiny_job(folder / "job", tiny_base, epochs=1)
        return job.versions / train(job, lambda _: None).digest


@pytest.fixture
def job(tmp_path: Path, trained: Path, tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> AdoptionJob:
    monkeypatch.setenv("FTASSETS_CACHE", str(tmp_path / "cache"))
    shutil.copytree(trained / ADAPTER, tmp_path / "peft")
    task = tiny_job(tmp_path / "task", tiny_base).task
    return AdoptionJob(
        loop="tiny", base_model=str(tiny_base), task=task, adapter=tmp_path / "peft", work=tmp_path / "work", versions=tmp_path / "versions"
    )


def test_an_adopted_adapter_is_the_version_training_would_have_made(job: AdoptionJob, trained: Path) -> None:
    (job.adapter / "README.md").write_text("by PEFT")
    digest = adopt(job, lambda _: None)["digest"]
    assert digest == trained.name, "same adapter, same base: same files, same version"
    manifest = verify_folder(job.versions / digest)
    assert (manifest.dataset_commit, manifest.loop, manifest.training["lora_r"]) == (None, "tiny", 4)
    assert manifest.tokenizer_digest == read_manifest(trained).tokenizer_digest
    assert json.loads((job.work / "result.json").read_text()) == {"digest": digest}


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda folder: (folder / "adapter_model.BIN").write_bytes(b"x"), "only safetensors"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "adapter_model.safetensors not there"),
        (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json not there"),
        (lambda folder: shutil.rmtree(folder), "adapter_config.json and adapter_model.safetensors not there"),
        (lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"), "another chat template"),
        (lambda folder: _config(folder, base_model_name_or_path="meta/other"), "trained on 'meta/other'"),
        (lambda folder: _config(folder, peft_type="IA3"), "of type IA3"),
        (lambda folder: _config(folder, r=8), "does not fit the base"),
        (lambda folder: _weights(folder, drop=1), "1 weights differ"),
    ],
)
def test_what_is_no_adapter_of_the_loops_base_is_refused(job: AdoptionJob, damage, why: str) -> None:
    damage(job.adapter)
    with pytest.raises(AdoptionRefused, match=why):
        adopt(job, lambda _: None)
    assert not [path for path in job.versions.glob("*") if (path / ADAPTER).exists()]


def _config(folder: Path, **changes: object) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _weights(folder: Path, drop: int) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "adapter_model.safetensors")
    save_file(dict(sorted(weights.items())[drop:]), folder / "adapter_model.safetensors")
