"""Signatures over the exact bytes of a statement."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ftassets.errors import FtassetsError


class SignatureInvalid(FtassetsError):
    """The envelope was changed, or signed with an untrusted or revoked key."""


class CannotSign(FtassetsError):
    """The signing key is missing or must not be used; the message says what to do."""


@dataclass(frozen=True)
class Signed:
    """The content of an envelope whose signature is right; `revoked` says why its key does not count any more."""

    payload: bytes
    key_id: str
    revoked: str | None


@dataclass(frozen=True)
class Key:
    """A public key that is or was trusted; `active` is the one that signs here. `unreadable` says why a key file cannot be used."""

    key_id: str
    active: bool
    revoked: str | None
    unreadable: str | None = None


class Signer(ABC):
    """Wraps payloads in a DSSE envelope (https://github.com/secure-systems-lab/dsse)."""

    @property
    @abstractmethod
    def key_id(self) -> str:
        """Id of the signing key. Raises CannotSign."""

    @abstractmethod
    def sign(self, payload: bytes) -> bytes:
        """The envelope, as JSON bytes, of an in-toto statement's JSON bytes. The payload is kept byte for byte. Raises CannotSign."""

    @abstractmethod
    def open(self, envelope: bytes) -> Signed:
        """What an envelope holds, also when its key was revoked. Raises SignatureInvalid."""

    @abstractmethod
    def public_key(self, key_id: str) -> bytes:
        """A trusted key as PEM, for whoever verifies without ftassets. Raises InvalidInput if there is no such key, OSError."""

    @abstractmethod
    def known_keys(self) -> list[Key]:
        """All trusted and revoked keys, then the key files that cannot be read; creates no key. Raises CannotSign."""

    @abstractmethod
    def rotate(self) -> str:
        """Sign with a new key from now on; what the old one signed still counts. The new key's id. Raises CannotSign."""

    @abstractmethod
    def revoke(self, key_id: str, reason: str) -> None:
        """Revoke a key permanently: its signatures are no longer valid. Raises InvalidInput for an unknown key."""

    def verify(self, envelope: bytes) -> bytes:
        """The payload of an envelope signed by a key that counts. Raises SignatureInvalid."""
        signed = self.open(envelope)
        if signed.revoked is not None:
            raise SignatureInvalid(f"the key {signed.key_id[:12]} that signed it was revoked ({signed.revoked}): materialize release again")
        return signed.payload
