"""Which public keys count: plain files in one folder, `ID.pub.pem` for a trusted key and `ID.revoked.json` for a revoked one."""

import json
import os
import tempfile
import time
from abc import abstractmethod
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key, load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey
from securesystemslib.signer import Key as PublicKey

from ftassets.backends.signer.base import CannotSign, Key, SignatureInvalid, Signed, Signer
from ftassets.domain.canonical import parse_json
from ftassets.domain.release.statement import PAYLOAD_TYPE
from ftassets.durable import sync_folder
from ftassets.errors import InvalidInput, in_one_line

PUBLIC, REVOKED = ".pub.pem", ".revoked.json"


class FolderTrust(Signer):
    """Verifies by the public keys in a folder; where the private key is, is a subclass's business."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @abstractmethod
    def _private(self) -> CryptoSigner | None:
        """The private key, None when it is not stored here; never creates one. Raises CannotSign when it cannot be read."""

    @abstractmethod
    def _signing(self) -> CryptoSigner:
        """The private key to sign with. Raises CannotSign."""

    @property
    def key_id(self) -> str:
        return self._trusted_signer().public_key.keyid

    def sign(self, payload: bytes) -> bytes:
        signer = self._trusted_signer()
        envelope = Envelope(payload, PAYLOAD_TYPE, {})
        envelope.sign(signer)
        return json.dumps(envelope.to_dict()).encode()

    def open(self, envelope: bytes) -> Signed:
        known, revoked = self._known(), self._revoked()
        if not known:
            raise SignatureInvalid(f"there is no key to trust: no file *{PUBLIC} in {self._folder}")
        count = [key for key in known.values() if key.keyid not in revoked]
        try:
            parsed = Envelope.from_dict(json.loads(envelope))
            by = _signed_by(parsed, count) or _signed_by(parsed, [key for key in known.values() if key.keyid in revoked])
        except (SecureSystemsError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise SignatureInvalid(f"not a DSSE envelope ({error!r})") from error
        if by is None:
            raise SignatureInvalid("the envelope is not signed by the release key, or was changed afterwards")
        if parsed.payload_type != PAYLOAD_TYPE:
            raise SignatureInvalid(f"the envelope holds {parsed.payload_type!r}, not {PAYLOAD_TYPE!r}")
        return Signed(parsed.payload, by, revoked.get(by))

    def known_keys(self) -> list[Key]:
        private, revoked = self._private(), self._revoked()
        active = {private.public_key.keyid} if private else set()
        known, unreadable = self._read()
        keys = [Key(key_id, key_id in active, revoked.get(key_id)) for key_id in sorted({*known, *revoked, *active})]
        return keys + [Key(path.name.removesuffix(PUBLIC), active=False, revoked=None, unreadable=why) for path, why in unreadable.items()]

    def public_key(self, key_id: str) -> bytes:
        try:
            return (self._folder / f"{key_id}{PUBLIC}").read_bytes()
        except FileNotFoundError:
            raise InvalidInput(f"there is no key {key_id} in {self._folder}") from None

    def revoke(self, key_id: str, reason: str) -> None:
        if key_id not in {key.key_id for key in self.known_keys()}:
            raise InvalidInput(f"there is no key {key_id} to revoke")
        write_with_mode(self._folder / f"{key_id}{REVOKED}", json.dumps({"reason": reason, "at": int(time.time())}).encode(), 0o644)

    def _trusted_signer(self) -> CryptoSigner:
        signer = self._signing()
        if (why := self._revoked().get(signer.public_key.keyid)) is not None:
            raise CannotSign(f"the signing key {signer.public_key.keyid[:12]} was revoked ({why}): ftassets keys rotate")
        self._trust(signer)
        return signer

    def _trust(self, signer: CryptoSigner) -> None:
        path = self._folder / f"{signer.public_key.keyid}{PUBLIC}"
        if not path.exists():
            public = load_pem_private_key(signer.private_bytes, password=None).public_key()
            write_with_mode(path, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), 0o644)

    def _known(self) -> dict[str, PublicKey]:
        known, unreadable = self._read()
        for why in unreadable.values():
            raise SignatureInvalid(why)
        return known

    def _read(self) -> tuple[dict[str, PublicKey], dict[Path, str]]:
        """The public keys by id, and the files that cannot be read as one, each with a sentence."""
        known: dict[str, PublicKey] = {}
        unreadable: dict[Path, str] = {}
        for path in sorted(self._folder.glob(f"*{PUBLIC}")):
            try:
                key = SSlibKey.from_crypto(load_pem_public_key(path.read_bytes()))
            except OSError as error:
                unreadable[path] = f"{path} cannot be read ({error.strerror}): restore or remove it"
            except (ValueError, UnsupportedAlgorithm, SecureSystemsError) as error:
                unreadable[path] = f"{path} is not a public key: {in_one_line(error)}"
            else:
                known[key.keyid] = key
        return known, unreadable

    def _revoked(self) -> dict[str, str]:
        """Reason by key id. The file's name revokes, whatever is in it."""
        revoked = {}
        for path in self._folder.glob(f"*{REVOKED}"):
            try:
                reason = str(parse_json(path.read_bytes())["reason"])
            except (OSError, ValueError, KeyError, TypeError):
                reason = "no reason can be read"
            revoked[path.name.removesuffix(REVOKED)] = reason
        return revoked


def _signed_by(envelope: Envelope, keys: list[PublicKey]) -> str | None:
    """Id of one of the keys that has signed the envelope: one is enough, whoever else has."""
    try:
        return next(iter(envelope.verify(keys, threshold=1))) if keys else None
    except VerificationError:
        return None


def write_with_mode(path: Path, content: bytes, mode: int) -> None:
    """A whole file or none, never readable by more than `mode` allows. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it 0600
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        os.fsync(handle)
    os.replace(partial, path)
    sync_folder(path.parent)
