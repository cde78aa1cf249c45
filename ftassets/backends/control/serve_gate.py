"""Whether a model server may load a folder: its files are a version that is released for a loop now.

The gateway's checks of a version that gains traffic, for servers that people may reach without the gateway. Read only: the folder,
`releases/` and the public keys.
"""

from dataclasses import dataclass
from pathlib import Path

from ftassets.backends.artifacts.version_folder import MANIFEST, VersionDamaged, file_digests, own_files
from ftassets.backends.control.releases import Releases, StatementMissing, signed_objections
from ftassets.backends.signer.base import SignatureInvalid
from ftassets.domain.release.approval import consent_objections, read_approval
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest
from ftassets.errors import in_one_line


@dataclass(frozen=True)
class ServeGate:
    """What was found: the version that the folder's manifest describes, if it can be read, and why it may not be loaded."""

    version: str | None
    objections: list[str]

    @property
    def open(self) -> bool:
        """Whether the folder may be loaded."""
        return not self.objections


def serve_gate(folder: Path, loop: str, releases: Releases, at: float, part: str = "") -> ServeGate:
    """Compare the files of a folder, or only those below its folder `part`, with what was signed for a loop, at a time in epoch seconds.

    Two things only the gateway knows: production, with which a candidate must have been compared, and the roles of those who approve.
    """
    try:
        own_files(folder)
        manifest = VersionManifest.parse((folder / MANIFEST).read_bytes())
        found = file_digests(folder, part)
    except (OSError, ValueError, VersionDamaged) as error:
        return ServeGate(None, [f"{folder} is not a version that can be checked ({in_one_line(error)}): copy versions/DIGEST once more"])
    version, below = manifest.digest, f"{part}/" if part else ""
    stated = {name: digest for name, digest in manifest.files.items() if name.startswith(below)}
    why = [
        f"{name} is missing, changed or not of the version: copy versions/{version[:12]} once more"
        for name in sorted(stated.keys() | found.keys())
        if stated.get(name) != found.get(name)
    ]
    try:
        signed = releases.read(loop, version)
    except StatementMissing as error:
        return ServeGate(version, [*why, f"{error}: materialize {loop}/release, or copy its attestation to there"])
    except (SignatureInvalid, OSError) as error:
        return ServeGate(version, [*why, f"the attestation of version {version[:12]} cannot be trusted ({error})"])
    # whether the loop had a production version when it was adopted is not in the attestation
    why += signed_objections(signed, loop, version, manifest.files, manifest.generation, at, first=True)
    return ServeGate(version, why or _not_approved(releases, loop, version, signed.payload))


def _not_approved(releases: Releases, loop: str, version: str, payload: bytes) -> list[str]:
    """Why the approval does not count that a release of a loop in mode propose needs; the payload is a valid release."""
    predicate = read_statement(payload)[2]
    if not predicate.get("needs_approval"):
        return []
    try:
        approval = read_approval(releases.payload(loop, version, "approval"))
    except (StatementMissing, SignatureInvalid, ValueError, OSError) as error:
        return [f"its approval does not count ({error}): ftassets approve {loop} {version[:12]} --name NAME --reason TEXT"]
    return consent_objections(approval, loop, version, str(predicate.get("report_digest")))
