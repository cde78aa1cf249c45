"""Signatures over the exact bytes of a statement."""

from abc import ABC, abstractmethod


class SignatureInvalid(Exception):
    """The envelope was not signed by the key we trust, or its bytes were changed."""


class Signer(ABC):
    """Wraps payloads in a DSSE envelope (https://github.com/secure-systems-lab/dsse)."""

    @property
    @abstractmethod
    def key_id(self) -> str:
        """Id of the signing key."""

    @abstractmethod
    def sign(self, payload: bytes) -> bytes:
        """The envelope, as JSON bytes, of an in-toto statement's JSON bytes. The payload is kept byte for byte."""

    @abstractmethod
    def verify(self, envelope: bytes) -> bytes:
        """The payload of an envelope. Raises SignatureInvalid."""
