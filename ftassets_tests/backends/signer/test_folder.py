"""A signer whose private key is a file in the home."""

import json
import os
import stat
from pathlib import Path

import pytest

from ftassets.backends.signer.base import CannotSign, SignatureInvalid
from ftassets.backends.signer.folder import PRIVATE, FolderSigner
from ftassets.backends.signer.trust import PUBLIC
from ftassets.testing.contracts.signer import PAYLOAD


def test_private_key_is_the_owners_alone(tmp_path: Path) -> None:
    FolderSigner(tmp_path / "keys").sign(PAYLOAD)
    assert stat.S_IMODE(os.stat(tmp_path / "keys" / PRIVATE).st_mode) == 0o600


def test_rotated_away_keys_still_verify(tmp_path: Path) -> None:
    signer = FolderSigner(tmp_path)
    old, old_id = signer.sign(PAYLOAD), signer.key_id
    new_id = signer.rotate()
    assert new_id == signer.key_id != old_id
    new = signer.sign(PAYLOAD)
    assert [s["keyid"] for s in json.loads(new)["signatures"]] == [new_id]
    assert signer.verify(old) == signer.verify(new) == PAYLOAD
    signer.revoke(old_id, "retired")
    assert signer.verify(new) == PAYLOAD
    with pytest.raises(SignatureInvalid, match="retired"):
        signer.verify(old)


def test_public_key_is_enough_to_verify_and_not_to_sign(tmp_path: Path) -> None:
    envelope = FolderSigner(tmp_path).sign(PAYLOAD)
    (tmp_path / PRIVATE).unlink()
    gateway = FolderSigner(tmp_path)
    assert gateway.verify(envelope) == PAYLOAD
    with pytest.raises(CannotSign, match="verify but not sign"):
        gateway.sign(PAYLOAD)
    gateway.rotate()
    assert gateway.verify(gateway.sign(PAYLOAD)) == PAYLOAD


def test_without_any_key_nothing_verifies_and_none_is_made(tmp_path: Path) -> None:
    envelope = FolderSigner(tmp_path / "a").sign(PAYLOAD)
    with pytest.raises(SignatureInvalid, match="no key to trust"):
        FolderSigner(tmp_path / "b").verify(envelope)
    assert not (tmp_path / "b").exists()


def test_public_key_is_restored_from_the_private_one(tmp_path: Path) -> None:
    signer = FolderSigner(tmp_path)
    envelope = signer.sign(PAYLOAD)
    (tmp_path / f"{signer.key_id}{PUBLIC}").unlink()
    signer.sign(PAYLOAD)
    assert signer.verify(envelope) == PAYLOAD
