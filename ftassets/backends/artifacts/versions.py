"""Model versions among the artifacts: one folder a version under its digest, checked against its manifest before it is used."""

import json
from pathlib import Path
from typing import Any

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, parse_manifest, seal, verify_folder
from ftassets.domain.canonical import parse_json
from ftassets.domain.dataset.control_tokens import ControlTokens, control_tokens
from ftassets.domain.release.version import MERGED, VersionManifest

FOLDER = "versions"
GENERATION = "generation_config.json"


def version_key(digest: str, *parts: str) -> str:
    """Name of a version, or of a file or folder in it."""
    return "/".join((FOLDER, digest, *parts))


def publish(artifacts: Artifacts, staging: Path, manifest: VersionManifest) -> str:
    """Store a finished folder as a version; returns its digest. A version that exists is kept. Raises ArtifactConflict."""
    seal(staging, manifest)
    artifacts.put_folder(version_key(manifest.digest), staging, MANIFEST)
    return manifest.digest


def workshop(artifacts: Artifacts) -> Path:
    """The folder of this machine below which workers publish versions; `keep` stores them."""
    return artifacts.draft(FOLDER)


def keep(artifacts: Artifacts, digest: str) -> None:
    """Store a version that a worker published in the workshop. Raises VersionDamaged when it is not there, ArtifactConflict."""
    folder = workshop(artifacts) / digest
    if not (folder / MANIFEST).exists():
        raise VersionDamaged(f"version {digest[:12]} is not in {folder.parent}: train again")
    artifacts.put_folder(version_key(digest), folder, MANIFEST)


def digests(artifacts: Artifacts) -> list[str]:
    """Digests of all versions, sorted; a folder without a manifest does not count."""
    return sorted(name for name in artifacts.names(FOLDER) if artifacts.exists(version_key(name, MANIFEST)))


def load_manifest(artifacts: Artifacts, digest: str) -> VersionManifest:
    """The manifest of a version, without reading its weights. Raises VersionDamaged."""
    try:
        content = artifacts.get(version_key(digest, MANIFEST))
    except (ArtifactMissing, OSError) as error:
        raise VersionDamaged(f"version {digest[:12]} has no readable manifest: {error}") from error
    return parse_manifest(content, digest)


def version_folder(artifacts: Artifacts, digest: str) -> Path:
    """The files of a version on this machine, unchecked. Raises VersionDamaged when they are missing."""
    try:
        return artifacts.local(version_key(digest))
    except ArtifactMissing as error:
        raise VersionDamaged(f"version {digest[:12]} is gone: {error}") from error


def verify(artifacts: Artifacts, digest: str) -> VersionManifest:
    """The manifest of a version whose every byte was read and found as stated. Raises VersionDamaged."""
    load_manifest(artifacts, digest)
    return verify_folder(version_folder(artifacts, digest))


def control_tokens_of(artifacts: Artifacts, digest: str) -> ControlTokens:
    """The control tokens of a version's tokenizer and template; none where the files are not here. Raises ValueError for a damaged file."""

    def read(name: str) -> str | None:
        try:
            return artifacts.get(version_key(digest, MERGED, name)).decode()
        except ArtifactMissing:
            return None

    tokenizer, config = (json.loads(read(name) or "{}") for name in ("tokenizer.json", "tokenizer_config.json"))
    return control_tokens(tokenizer, config, read("chat_template.jinja"))


def own_generation(artifacts: Artifacts, digest: str) -> dict[str, Any]:
    """What the model of a version says of its decoding, in its generation_config.json; nothing without one. Raises VersionDamaged."""
    try:
        return parse_json(artifacts.get(version_key(digest, MERGED, GENERATION)))
    except ArtifactMissing:
        return {}
    except ValueError as error:
        raise VersionDamaged(f"version {digest[:12]}: {GENERATION} is not JSON ({error}): train again or restore it") from error
