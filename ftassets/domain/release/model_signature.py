"""A version's files in the form of OpenSSF Model Signing 1.0, so that tools of others verify them without ftassets.

What may take traffic follows from the attestation alone, which says more: verdicts, settings, expiry.
"""

import hashlib
import json
from collections.abc import Mapping

from ftassets.domain.release.statement import write_statement

NAME = "model.sig"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def model_statement(version: str, files: Mapping[str, str]) -> bytes:
    """The bytes to sign for a version: all files of its folder, each with its SHA-256 in hex, and one digest over these digests.

    A file more or less in the folder, or a link, does not verify. The form is what `model_signing` of version 1.1 writes and reads
    (https://github.com/sigstore/model-transparency, `_signing/signing.py`).
    """
    resources = [{"name": name, "algorithm": "sha256", "digest": digest} for name, digest in sorted(files.items())]
    root = hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()
    serialization = {"method": "files", "hash_type": "sha256", "allow_symlinks": False}
    return write_statement(PREDICATE_TYPE, {version: root}, {"serialization": serialization, "resources": resources})


def model_bundle(envelope: bytes, public_key: bytes) -> bytes:
    """The content of `model.sig`: a Sigstore bundle, version 0.3, of a signed `model_statement`.

    `public_key` is the key that signed as PEM (SubjectPublicKeyInfo); the bundle has its SHA-256 as hint, by which a verifier says that it
    was given another key.
    """
    material = {"publicKey": {"hint": hashlib.sha256(public_key).hexdigest()}, "tlogEntries": []}
    bundle = {"mediaType": _MEDIA_TYPE, "verificationMaterial": material, "dsseEnvelope": json.loads(envelope)}
    return (json.dumps(bundle, indent=2) + "\n").encode()
