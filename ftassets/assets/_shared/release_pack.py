"""Making the pack of a release from what was signed, its report, the dataset's description and what is installed here."""

import platform

from ftassets.assets._shared.dataset_files import croissant_path
from ftassets.backends.artifacts.base import Artifacts
from ftassets.backends.artifacts.packs import has_pack, pack_key, store_pack
from ftassets.backends.artifacts.version_folder import MANIFEST
from ftassets.backends.artifacts.versions import version_key
from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.dataset_store.base import DatasetStore, ObjectNotFound
from ftassets.backends.signer.base import Signer
from ftassets.backends.signer.model_signature import model_signature
from ftassets.code_identity import code_identity, installed_packages
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import digest_of_bytes
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.release.pack import pack_files, pack_statement
from ftassets.domain.release.statement import read_statement
from ftassets.domain.release.version import VersionManifest


def make_pack(
    artifacts: Artifacts,
    control: Control,
    store: DatasetStore,
    signer: Signer,
    loop: LoopConfig,
    manifest: VersionManifest,
    report: EvalReport,
    payload: bytes,
) -> str:
    """The name of the pack of an attestation with these bytes; made and signed unless it is there. Raises CannotSign, OSError.

    The packages installed here are listed only if the code is still that of the attestation: else they are those of another time.
    """
    key = pack_key(loop.name, payload)
    if not has_pack(artifacts, key):
        envelope = Releases(control, signer).envelope(loop.name, manifest.digest)
        same = code_identity()["code_digest"] == read_statement(payload)[2].get("code_digest")
        version = {**manifest.files, MANIFEST: digest_of_bytes(artifacts.get(version_key(manifest.digest, MANIFEST)))}
        files = pack_files(
            loop, manifest, report, payload, envelope, _croissant(store, loop.name, report.dataset_commit),
            installed_packages() if same else None, platform.python_version(), model_signature(signer, manifest.digest, version),
        )  # fmt: skip
        store_pack(artifacts, key, files, signer.sign(pack_statement(loop.name, manifest.digest, payload, files)))
    return key


def _croissant(store: DatasetStore, loop: str, commit: str) -> bytes | None:
    try:
        return store.read(commit, croissant_path(loop))
    except ObjectNotFound:  # an earlier release wrote none
        return None
