"""Signatures by an Ed25519 key in a folder. It stops accidents, not insiders: whoever can read the folder can sign."""

import json
import os
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from filelock import FileLock
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.signer import CryptoSigner, SSlibKey

from ftassets.domain.attestation import PAYLOAD_TYPE
from ftassets.resources.signer.base import SignatureInvalid, Signer

PRIVATE = "release.pem"
PUBLIC = "release.pub.pem"


class Ed25519Signer(Signer):
    """Key pair in `folder`, made when something is first signed. Verifying needs the public file only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def key_id(self) -> str:
        if not (self._folder / PUBLIC).exists():
            return self._signing_key().public_key.keyid
        return self._trusted_key().keyid

    def sign(self, payload: bytes) -> bytes:
        """The envelope as JSON bytes. Raises FileNotFoundError where there is only a public key, ValueError when the two files differ."""
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(self._signing_key())
        return json.dumps(envelope.to_dict()).encode()

    def verify(self, envelope: bytes) -> bytes:
        if not (self._folder / PUBLIC).exists():
            raise SignatureInvalid(f"there is no key to trust: {PUBLIC} is missing from {self._folder}")
        try:
            parsed = Envelope.from_dict(json.loads(envelope))
            parsed.verify([self._trusted_key()], threshold=1)
        except SecureSystemsError as error:
            raise SignatureInvalid("the envelope is not signed by the release key, or was changed afterwards") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SignatureInvalid(f"not a DSSE envelope ({error!r})") from error
        if parsed.payload_type != PAYLOAD_TYPE:
            raise SignatureInvalid(f"the envelope holds {parsed.payload_type!r}, not {PAYLOAD_TYPE!r}")
        return parsed.payload

    def _trusted_key(self) -> SSlibKey:
        try:
            return SSlibKey.from_crypto(load_pem_public_key((self._folder / PUBLIC).read_bytes()))
        except ValueError as error:
            raise SignatureInvalid(f"{self._folder / PUBLIC} is not a public key: {error}") from error

    def _signing_key(self) -> CryptoSigner:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private, public = self._folder / PRIVATE, self._folder / PUBLIC
        with FileLock(self._folder / "keys.lock"):  # two processes must not make two pairs
            if not private.exists():
                if public.exists():
                    raise FileNotFoundError(f"{self._folder} can verify but not sign: {PRIVATE} is missing")
                _write(private, CryptoSigner.generate_ed25519().private_bytes, mode=0o600)
            key = load_pem_private_key(private.read_bytes(), password=None)
            if not public.exists():
                pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                _write(public, pem, mode=0o644)
        return CryptoSigner(key, self._trusted_key())


def _write(path: Path, content: bytes, mode: int) -> None:
    """A whole file or none, never readable by more than `mode` allows."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
