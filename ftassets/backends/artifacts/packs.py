"""Packs of releases among the artifacts: a folder of small files for each attestation, written once."""

from collections.abc import Mapping
from contextlib import suppress

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.domain.canonical import digest_of_bytes
from ftassets.domain.release.pack import MANIFEST
from ftassets.domain.release.statement import payload_of, read_statement
from ftassets.durable import write_durably
from ftassets.errors import InvalidInput

FOLDER = "packs"


def pack_key(loop: str, payload: bytes) -> str:
    """Name of the pack of an attestation, given the bytes that were signed."""
    return f"{FOLDER}/{loop}/{digest_of_bytes(payload)}"


def has_pack(artifacts: Artifacts, key: str) -> bool:
    """Whether a pack is there, whole: with a manifest that can be read, whoever signed it. Raises OSError."""
    with suppress(ArtifactMissing, InvalidInput):
        read_statement(payload_of(artifacts.get(f"{key}/{MANIFEST}")))
        return True
    return False


def store_pack(artifacts: Artifacts, key: str, files: Mapping[str, bytes], manifest: bytes) -> None:
    """Store a pack unless `has_pack`; what is left of one that is not whole is replaced. Raises ArtifactConflict, OSError."""
    draft = artifacts.draft(key)
    draft.mkdir(parents=True, exist_ok=True)
    for left in draft.iterdir():
        left.unlink()
    for name, content in [*files.items(), (MANIFEST, manifest)]:  # the manifest last: it says that the folder is whole
        write_durably(draft / name, content)
    artifacts.put_folder(key, draft, MANIFEST)


def read_pack(artifacts: Artifacts, key: str) -> dict[str, bytes]:
    """All files of a pack, by name. Raises ArtifactMissing."""
    if not has_pack(artifacts, key):
        raise ArtifactMissing(f"{artifacts.uri(key)} is not there")
    return {path.name: path.read_bytes() for path in sorted(artifacts.local(key).iterdir()) if path.is_file()}
