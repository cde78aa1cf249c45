"""Model versions: nothing is used that is not what its manifest says."""

import json
from pathlib import Path

import pytest

from ftassets.backends.artifacts.base import ArtifactConflict
from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, file_digests, publish_below
from ftassets.backends.artifacts.versions import digests, keep, load_manifest, publish, verify, version_folder, workshop
from ftassets.domain.release.version import VersionManifest, version_tags
from ftassets.durable import file_digest


def staged(folder: Path, weights: bytes = b"weights") -> VersionManifest:
    (folder / "merged").mkdir(parents=True)
    (folder / "merged" / "model.safetensors").write_bytes(weights)
    (folder / "merged" / "config.json").write_text("{}")
    files = file_digests(folder)
    return VersionManifest(kind="adapter", base_model="smol", files=files, tokenizer_digest="t", generation={"max_tokens": 64})


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifacts:
    return FolderArtifacts(tmp_path / "home")


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    return tmp_path / "home" / "versions"


@pytest.fixture
def digest(tmp_path: Path, artifacts: FolderArtifacts) -> str:
    return publish(artifacts, tmp_path / "staging", staged(tmp_path / "staging"))


def test_a_published_version_verifies(tmp_path: Path, artifacts: FolderArtifacts, versions: Path, digest: str) -> None:
    manifest = verify(artifacts, digest)
    assert manifest.digest == digest == load_manifest(artifacts, digest).digest
    assert manifest.files == {
        "merged/config.json": file_digest(versions / digest / "merged" / "config.json"),
        "merged/model.safetensors": file_digest(versions / digest / "merged" / "model.safetensors"),
    }
    assert not (tmp_path / "staging").exists()


def test_the_digest_names_the_bytes(tmp_path: Path, versions: Path, digest: str) -> None:
    same = staged(tmp_path / "again").model_copy(update={"metrics": {"loss": 0.1}})
    assert same.digest == digest
    assert staged(tmp_path / "other", b"other weights").digest != digest
    assert same.model_copy(update={"kind": "base"}).digest != digest


def test_publishing_again_keeps_the_first(tmp_path: Path, artifacts: FolderArtifacts, versions: Path, digest: str) -> None:
    before = (versions / digest / MANIFEST).stat().st_ino
    assert publish(artifacts, tmp_path / "again", staged(tmp_path / "again")) == digest
    assert (versions / digest / MANIFEST).stat().st_ino == before
    assert not (tmp_path / "again").exists()


def test_a_folder_in_the_way_that_is_no_version_is_not_hidden(tmp_path: Path, artifacts: FolderArtifacts, versions: Path) -> None:
    manifest = staged(tmp_path / "staging")
    (versions / manifest.digest).mkdir(parents=True)
    (versions / manifest.digest / "half").write_text("")
    with pytest.raises(ArtifactConflict, match="in the way"):
        publish(artifacts, tmp_path / "staging", manifest)
    assert (tmp_path / "staging").exists()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        ("change", "model.safetensors is missing or was changed"),
        ("remove", "model.safetensors is missing or was changed"),
        ("add", "extra.json is missing or was changed"),
        ("manifest", "no readable manifest"),
    ],
)
def test_any_damage_is_found(artifacts: FolderArtifacts, versions: Path, digest: str, damage: str, why: str) -> None:
    weights = versions / digest / "merged" / "model.safetensors"
    if damage == "change":
        weights.write_bytes(b"Weights")  # as long as before
    elif damage == "remove":
        weights.unlink()
    elif damage == "add":
        (versions / digest / "merged" / "extra.json").write_text("{}")
    else:
        (versions / digest / MANIFEST).write_text("{")
    with pytest.raises(VersionDamaged, match=why):
        verify(artifacts, digest)


def test_a_manifest_that_was_edited_to_fit_names_another_version(artifacts: FolderArtifacts, versions: Path, digest: str) -> None:
    weights = versions / digest / "merged" / "model.safetensors"
    weights.write_bytes(b"others")
    manifest = load_manifest(artifacts, digest)
    edited = manifest.model_copy(update={"files": {**manifest.files, "merged/model.safetensors": file_digest(weights)}})
    (versions / digest / MANIFEST).write_text(edited.model_dump_json())
    with pytest.raises(VersionDamaged, match="describes version"):
        verify(artifacts, digest)


def test_a_version_that_is_not_there(artifacts: FolderArtifacts) -> None:
    with pytest.raises(VersionDamaged, match="no readable manifest"):
        verify(artifacts, "0" * 64)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.pt", "x.pkl", "x.ckpt"])
def test_formats_that_can_run_code_are_refused(artifacts: FolderArtifacts, versions: Path, digest: str, name: str) -> None:
    (versions / digest / "merged" / name).write_bytes(b"")
    with pytest.raises(VersionDamaged, match="safetensors"):
        verify(artifacts, digest)


def test_files_behind_a_link_are_read_too(tmp_path: Path, artifacts: FolderArtifacts) -> None:
    staged(tmp_path / "cache")
    (tmp_path / "staging").mkdir()
    (tmp_path / "staging" / "merged").symlink_to(tmp_path / "cache" / "merged")
    files = file_digests(tmp_path / "staging")
    manifest = VersionManifest(kind="base", base_model="smol", files=files, tokenizer_digest="t", generation={})
    digest = publish(artifacts, tmp_path / "staging", manifest)
    assert set(verify(artifacts, digest).files) == {"merged/config.json", "merged/model.safetensors"}
    (tmp_path / "cache" / "merged" / "model.safetensors").write_bytes(b"changed in the cache")
    with pytest.raises(VersionDamaged, match=r"model\.safetensors"):
        verify(artifacts, digest)


def test_a_manifest_of_an_earlier_release_is_still_read(tmp_path: Path, artifacts: FolderArtifacts, versions: Path, digest: str) -> None:
    path = versions / digest / MANIFEST
    content = json.loads(path.read_text())
    for name in ("dataset_hash", "loop", "lineage", "code_commit", "made_at"):
        del content[name]
    path.write_text(json.dumps(content))
    assert verify(artifacts, digest).lineage is None


def test_tags_of_a_version_hold_what_is_known_of_it(tmp_path: Path) -> None:
    manifest = staged(tmp_path / "staging")
    assert version_tags(manifest) == {"kind": "adapter", "base_model": "smol", "tokenizer_digest": "t"}
    recipe = {"lora_r": 8, "method": "lora", "system_prompt": "secret", "start_from": "p" * 64}
    known = manifest.model_copy(update={"recipe": recipe, "metrics": {"last_loss": 0.5}, "made_at": 1e9, "lineage": "continues from p"})
    tags = version_tags(known)
    assert tags["training"] == '{"lora_r":8,"method":"lora"}'
    assert (tags["parent"], tags["training_metrics"]) == ("p" * 64, '{"last_loss":0.5}')
    assert (tags["made_at"], tags["lineage"]) == ("2001-09-09T01:46:40+00:00", "continues from p")


def test_a_version_that_a_worker_published_is_kept(tmp_path: Path, artifacts: FolderArtifacts) -> None:
    digest = publish_below(workshop(artifacts), tmp_path / "staging", staged(tmp_path / "staging"))
    keep(artifacts, digest)
    keep(artifacts, digest)
    assert digests(artifacts) == [digest]
    assert verify(artifacts, digest).digest == version_folder(artifacts, digest).name
    with pytest.raises(VersionDamaged, match="train again"):
        keep(artifacts, "0" * 64)


def test_a_folder_without_a_manifest_is_no_version(artifacts: FolderArtifacts, versions: Path, digest: str) -> None:
    (versions / "half").mkdir()
    assert digests(artifacts) == [digest]
