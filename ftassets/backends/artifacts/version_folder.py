"""A model version as a folder of this machine: what a worker writes, and what is checked before anybody uses it."""

import json
import os
import stat
from pathlib import Path

from ftassets.domain.release.version import VersionManifest
from ftassets.durable import file_digest, keep_folder, write_durably
from ftassets.errors import StateDamaged, in_one_line

MANIFEST = "manifest.json"
FORBIDDEN = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"}  # formats that can run code when loaded


class VersionDamaged(StateDamaged):
    """A version's folder is missing, incomplete, changed, or holds a file format we refuse."""


def file_digests(folder: Path, part: str = "") -> dict[str, str]:
    """SHA-256 of every file of a version but its manifest, or of those below its folder `part`, by path relative to the version.

    Raises VersionDamaged on a pickle format.
    """
    # os.walk follows the link by which an untuned base shares its files with the cache
    paths = [Path(top, name) for top, _, names in os.walk(folder / part, followlinks=True) for name in names]
    if refused := sorted(str(path.relative_to(folder)) for path in paths if path.suffix.lower() in FORBIDDEN):
        raise VersionDamaged(f"{', '.join(refused)}: only safetensors weights are taken")
    return {
        path.relative_to(folder).as_posix(): file_digest(path) for path in sorted(paths) if path.relative_to(folder).as_posix() != MANIFEST
    }


def own_files(folder: Path) -> None:
    """Raise VersionDamaged unless all that a folder holds is regular files and folders of its own.

    What a link leads to can be changed by whoever may write there, and reading a pipe never ends.
    """
    names = [folder, *(Path(top, name) for top, folders, files in os.walk(folder) for name in (*folders, *files))]
    for path in names:
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = "a link" if stat.S_ISLNK(mode) else "no regular file"
            raise VersionDamaged(f"{path} is {what}: copy the version with its files (cp -rL)")


def seal(staging: Path, manifest: VersionManifest) -> None:
    """Write the manifest, by which a folder becomes a version."""
    write_durably(staging / MANIFEST, json.dumps(manifest.document(), indent=2, ensure_ascii=False))


def publish_below(versions: Path, staging: Path, manifest: VersionManifest) -> str:
    """Move a finished folder to `versions/<digest>` in one step; returns the digest. A version that exists is kept.

    For workers, which know a folder and no store; `versions.keep` takes the version into the store.
    """
    seal(staging, manifest)
    keep_folder(staging, versions / manifest.digest, MANIFEST)
    return manifest.digest


def parse_manifest(content: bytes, digest: str) -> VersionManifest:
    """The manifest of the version with this digest. Raises VersionDamaged."""
    try:
        manifest = VersionManifest.parse(content)
    except ValueError as error:
        raise VersionDamaged(f"version {digest[:12]} has no readable manifest: {in_one_line(error)}") from error
    if manifest.digest != digest:
        raise VersionDamaged(f"the manifest in {digest[:12]} describes version {manifest.digest[:12]}")
    return manifest


def read_manifest(folder: Path) -> VersionManifest:
    """The manifest of a version, whose folder has its digest as name, without reading its weights. Raises VersionDamaged."""
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        raise VersionDamaged(f"version {folder.name[:12]} has no readable manifest: {in_one_line(error)}") from error
    return parse_manifest(content, folder.name)


def verify_folder(folder: Path) -> VersionManifest:
    """The manifest of a version whose every byte was read and found as stated. Raises VersionDamaged."""
    manifest = read_manifest(folder)
    found = file_digests(folder)
    for name in sorted(found.keys() | manifest.files.keys()):
        if found.get(name) != manifest.files.get(name):
            raise VersionDamaged(f"version {folder.name[:12]}: {name} is missing or was changed; train again or restore it")
    return manifest
