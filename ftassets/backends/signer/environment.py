"""Signatures by a key a secret manager hands over in the environment; of it only the public half is ever written down."""

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from ftassets.backends.signer.base import CannotSign
from ftassets.backends.signer.trust import FolderTrust

KEY, KEY_FILE = "FTASSETS_SIGNING_KEY", "FTASSETS_SIGNING_KEY_FILE"


class EnvironmentSigner(FolderTrust):
    """A private key, ECDSA on P-256 or Ed25519, as PEM in FTASSETS_SIGNING_KEY, or in the file FTASSETS_SIGNING_KEY_FILE names."""

    def __init__(self, folder: Path, environ: Mapping[str, str] = os.environ) -> None:
        """`folder` holds the public keys that are trusted; the key's own is added when it first signs."""
        super().__init__(folder)
        self._environ = environ

    def _private(self) -> CryptoSigner | None:
        pem, path = self._environ.get(KEY), self._environ.get(KEY_FILE)
        if not pem and not path:
            return None
        try:
            key = load_pem_private_key(pem.encode() if pem else Path(path or "").read_bytes(), password=None)
        except OSError as error:
            raise CannotSign(f"{KEY_FILE} names a file that cannot be read: {error}") from error
        except (ValueError, TypeError) as error:  # the error's own text could hold a piece of the key
            raise CannotSign(f"{KEY if pem else KEY_FILE} is not an unencrypted private key in PEM form") from error
        if not (isinstance(key, Ed25519PrivateKey) or (isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1))):
            how = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256"
            raise CannotSign(f"{KEY if pem else KEY_FILE} is a key of another kind than P-256 and Ed25519: {how} makes one")
        return CryptoSigner(key)

    def _signing(self) -> CryptoSigner:
        if (found := self._private()) is None:
            raise CannotSign(f"there is no key to sign with: set {KEY} (PEM) or {KEY_FILE} (its path) from the secret manager")
        return found

    def rotate(self) -> str:
        raise CannotSign(f"the key comes from {KEY} or {KEY_FILE}: put another one there; what the old one signed still counts")
