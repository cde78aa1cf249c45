"""Signing a version for tools of others, with the release key, whoever holds that."""

import json
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from ftassets.backends.signer.base import Signer
from ftassets.domain.release.model_signature import model_bundle, model_statement


def model_signature(signer: Signer, version: str, files: Mapping[str, str]) -> bytes | None:
    """The OpenSSF model signature of a version's files, given by path with SHA-256 in hex; None if the release key is an Ed25519 key.

    These tools verify elliptic curve keys only. Raises CannotSign, OSError.
    """
    envelope = signer.sign(model_statement(version, files))
    key = load_pem_public_key(signer.public_key(json.loads(envelope)["signatures"][0]["keyid"]))
    if not isinstance(key, EllipticCurvePublicKey):
        return None
    return model_bundle(envelope, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
