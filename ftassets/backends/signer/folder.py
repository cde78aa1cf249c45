"""Signatures by a key in a folder. It stops accidents, not insiders: whoever can read the folder can sign.

New keys are ECDSA on P-256, since tools of others verify no Ed25519 signature of a model. Homes of earlier releases have Ed25519 keys.
"""

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from filelock import FileLock
from securesystemslib.signer import CryptoSigner

from ftassets.backends.signer.base import CannotSign
from ftassets.backends.signer.trust import FolderTrust, write_with_mode

PRIVATE = "release.pem"


class FolderSigner(FolderTrust):
    """The active private key is a file in `folder`, created at the first signature. Verification needs the public key files only."""

    def _private(self) -> CryptoSigner | None:
        try:
            return CryptoSigner(load_pem_private_key((self._folder / PRIVATE).read_bytes(), password=None))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise CannotSign(f"{self._folder / PRIVATE} is not a private key: {error}") from error

    def _signing(self) -> CryptoSigner:
        with self._locked():  # two processes must not make two keys
            if (found := self._private()) is not None:
                return found
            if self._known():
                raise CannotSign(f"{self._folder} can verify but not sign: restore {PRIVATE}, or make a new key with: ftassets keys rotate")
            return self._make()

    def rotate(self) -> str:
        with self._locked():
            if (old := self._private()) is not None:
                self._trust(old)
            return self._make().public_key.keyid

    def _locked(self) -> FileLock:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return FileLock(self._folder / "keys.lock")

    def _make(self) -> CryptoSigner:
        new = CryptoSigner.generate_ecdsa()
        self._trust(new)  # first: a crash in between leaves a public key nobody signs with
        write_with_mode(self._folder / PRIVATE, new.private_bytes, 0o600)
        return new
