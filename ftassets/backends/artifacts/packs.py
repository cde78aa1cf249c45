"""Packs of releases among the artifacts: a folder of small files for each attestation, written once."""

from collections.abc import Mapping

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.domain.release.pack import MANIFEST, digest_of_bytes

FOLDER = "packs"


def pack_key(loop: str, payload: bytes) -> str:
    """Name of the pack of an attestation, given the bytes that were signed."""
    return f"{FOLDER}/{loop}/{digest_of_bytes(payload)}"


def has_pack(artifacts: Artifacts, key: str) -> bool:
    """Whether a pack is there, whole."""
    return artifacts.exists(f"{key}/{MANIFEST}")


def store_pack(artifacts: Artifacts, key: str, files: Mapping[str, bytes], manifest: bytes) -> None:
    """Store a pack; one that is there stays. Raises ArtifactConflict, OSError."""
    draft = artifacts.draft(key)
    draft.mkdir(parents=True, exist_ok=True)
    for name, content in [*files.items(), (MANIFEST, manifest)]:  # the manifest last: it says that the folder is whole
        (draft / name).write_bytes(content)
    artifacts.put_folder(key, draft, MANIFEST)


def read_pack(artifacts: Artifacts, key: str) -> dict[str, bytes]:
    """All files of a pack, by name. Raises ArtifactMissing."""
    if not has_pack(artifacts, key):
        raise ArtifactMissing(f"{artifacts.uri(key)} is not there")
    return {path.name: path.read_bytes() for path in sorted(artifacts.local(key).iterdir()) if path.is_file()}
