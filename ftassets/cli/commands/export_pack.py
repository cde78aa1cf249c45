"""The pack of a release as files in a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ftassets.backends.artifacts.base import ArtifactMissing, Artifacts
from ftassets.backends.artifacts.packs import pack_key, read_pack
from ftassets.backends.control.releases import Releases
from ftassets.cli.commands.export_ollama import released_version
from ftassets.config.outputs import check_new_folder, replacing
from ftassets.domain.release.pack import MANIFEST
from ftassets.errors import InvalidInput


@dataclass(frozen=True)
class Packed:
    """What was written; `manifest` is the file that `ftassets verify` takes."""

    version: str
    folder: Path
    manifest: Path
    files: list[str]


def run(artifacts: Artifacts, releases: Releases, loop: str, version: str | None, out: Path, force: bool, inputs: Sequence[Path]) -> Packed:
    """Write the pack of a release (by default the newest). Raises InvalidInput without one, and as `check_new_folder`."""
    check_new_folder(out, force, inputs)
    digest = released_version(releases, loop, version)
    try:
        files = read_pack(artifacts, pack_key(loop, releases.read(loop, digest).payload))
    except ArtifactMissing as error:
        raise InvalidInput(
            f"the release of version {digest[:12]} has no pack: it was adopted, or made by an earlier release of ftassets; "
            f"of the newest eval report, materialize {loop}/release again to make it"
        ) from error
    for name, content in sorted(files.items(), key=lambda item: item[0] == MANIFEST):  # last: it says that all are there
        with replacing(out / name) as file:
            file.write(content)
    return Packed(digest, out, out / MANIFEST, sorted(files))
