"""Which public keys count, whoever signs."""

import json
from pathlib import Path

import pytest
from securesystemslib.dsse import Envelope

from ftassets.backends.signer.base import CannotSign, SignatureInvalid
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.signer.trust import PUBLIC, REVOKED, FolderTrust
from ftassets.testing.contracts.signer import PAYLOAD
from ftassets_tests.backends.signer.keys import from_environment


@pytest.fixture(params=[FolderSigner, from_environment])
def signer(request: pytest.FixtureRequest, tmp_path: Path) -> FolderTrust:
    return request.param(tmp_path / "keys")


def test_an_envelope_of_our_key_that_holds_another_type_is_refused(signer: FolderTrust) -> None:
    envelope = Envelope(PAYLOAD, "application/json", {})
    envelope.sign(signer._trusted_signer())
    with pytest.raises(SignatureInvalid, match="holds 'application/json', not 'application/vnd.in-toto"):
        signer.verify(json.dumps(envelope.to_dict()).encode())


def test_a_revocation_counts_even_when_its_file_is_empty_or_the_public_key_gone(signer: FolderTrust, tmp_path: Path) -> None:
    envelope = signer.sign(PAYLOAD)
    key_id = signer.key_id
    (tmp_path / "keys" / f"{key_id}{REVOKED}").write_text("")
    (tmp_path / "keys" / f"deep{REVOKED}").write_text("[" * 100_000)
    with pytest.raises(SignatureInvalid, match="no reason can be read"):
        signer.verify(envelope)
    (tmp_path / "keys" / f"{key_id}{PUBLIC}").unlink()
    with pytest.raises(CannotSign, match="was revoked .no reason can be read"):
        signer.sign(PAYLOAD)


def test_a_public_file_that_is_none_stops_verifying_with_its_name(signer: FolderTrust, tmp_path: Path) -> None:
    envelope = signer.sign(PAYLOAD)
    (tmp_path / "keys" / f"broken{PUBLIC}").write_text("no key")
    with pytest.raises(SignatureInvalid, match="broken"):
        signer.verify(envelope)


def test_a_second_signature_by_a_key_that_counts_is_enough(tmp_path: Path) -> None:
    signer = FolderSigner(tmp_path)
    both, old_id = json.loads(signer.sign(PAYLOAD)), signer.key_id
    signer.rotate()
    both["signatures"] += json.loads(signer.sign(PAYLOAD))["signatures"]
    signer.revoke(old_id, "retired")
    assert signer.verify(json.dumps(both).encode()) == PAYLOAD
