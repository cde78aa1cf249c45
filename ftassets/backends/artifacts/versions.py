"""Model versions on disk: one folder a version under its digest, checked against its manifest before it is used."""

import os
import shutil
from pathlib import Path

from ftassets.domain.canonical import file_digest
from ftassets.domain.release.version import VersionManifest

MANIFEST = "manifest.json"
FORBIDDEN = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}  # formats that can run code when loaded


class VersionDamaged(Exception):
    """A version's folder is missing, incomplete, changed, or holds a file format we refuse."""


def file_digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a version but its manifest, by relative path. Raises VersionDamaged on a pickle format."""
    # os.walk follows the link by which an untuned base shares its files with the cache
    paths = [Path(top, name) for top, _, names in os.walk(folder, followlinks=True) for name in names]
    if refused := sorted(str(path.relative_to(folder)) for path in paths if path.suffix.lower() in FORBIDDEN):
        raise VersionDamaged(f"{', '.join(refused)}: only safetensors weights are taken")
    return {
        path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(paths) if path.relative_to(folder).as_posix() != MANIFEST
    }


def publish(staging: Path, manifest: VersionManifest, versions: Path) -> str:
    """Move a finished folder to `versions/<digest>` in one step; returns the digest. A version that exists is kept."""
    (staging / MANIFEST).write_text(manifest.model_dump_json(indent=2))
    target = versions / manifest.digest
    versions.mkdir(parents=True, exist_ok=True)
    try:
        staging.rename(target)
    except OSError:
        if not (target / MANIFEST).exists():
            raise
        shutil.rmtree(staging)
    return manifest.digest


def load_manifest(versions: Path, digest: str) -> VersionManifest:
    """The manifest of a version, without reading its weights. Raises VersionDamaged."""
    path = versions / digest / MANIFEST
    try:
        manifest = VersionManifest.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VersionDamaged(f"version {digest[:12]} has no readable manifest: {error}") from error
    if manifest.digest != digest:
        raise VersionDamaged(f"the manifest in {digest[:12]} describes version {manifest.digest[:12]}")
    return manifest


def verify(versions: Path, digest: str) -> VersionManifest:
    """The manifest of a version whose every byte was read and found as stated. Raises VersionDamaged."""
    manifest = load_manifest(versions, digest)
    found = file_digests(versions / digest)
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            raise VersionDamaged(f"version {digest[:12]}: {name} is missing or was changed; train again or restore it")
    return manifest
