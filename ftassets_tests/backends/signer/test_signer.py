"""What every signer must do; another backend joins by a line in BACKENDS."""

import base64
import contextlib
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from securesystemslib.signer import CryptoSigner

from ftassets.backends.signer.base import CannotSign, SignatureInvalid, Signer
from ftassets.backends.signer.environment import KEY, KEY_FILE, EnvironmentSigner
from ftassets.backends.signer.folder import PRIVATE, Ed25519Signer
from ftassets.backends.signer.trust import PUBLIC, REVOKED
from ftassets.domain.release.statement import PAYLOAD_TYPE

MakeSigner = Callable[[Path], Signer]


def from_environment(folder: Path) -> EnvironmentSigner:
    """A signer whose key a secret manager put beside the folder; the same key for the same folder."""
    secret = folder.with_name(f"{folder.name}.secret.pem")
    if not secret.exists():
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    return EnvironmentSigner(folder, {KEY_FILE: str(secret)})


BACKENDS: dict[str, MakeSigner] = {"embedded": Ed25519Signer, "environment": from_environment}
PAYLOAD = b'{"rows": 800, "share": 0.50,  "note": "\xc3\xa9"}\n'


@pytest.fixture(params=BACKENDS)
def make(request: pytest.FixtureRequest) -> MakeSigner:
    return BACKENDS[request.param]


@pytest.fixture
def signer(make: MakeSigner, tmp_path: Path) -> Signer:
    return make(tmp_path / "keys")


def test_payload_comes_back_byte_for_byte(signer: Signer) -> None:
    assert signer.verify(signer.sign(PAYLOAD)) == PAYLOAD


def test_envelope_is_dsse_and_names_the_key(signer: Signer) -> None:
    envelope = json.loads(signer.sign(PAYLOAD))
    assert base64.b64decode(envelope["payload"]) == PAYLOAD
    assert envelope["payloadType"] == PAYLOAD_TYPE
    assert [s["keyid"] for s in envelope["signatures"]] == [signer.key_id]


def test_the_key_is_made_once(make: MakeSigner, tmp_path: Path) -> None:
    first, second = make(tmp_path), make(tmp_path)
    assert first.key_id == second.key_id
    assert second.verify(first.sign(PAYLOAD)) == PAYLOAD


@pytest.mark.parametrize("field", ["payload", "payloadType", "sig"])
def test_any_change_is_refused(signer: Signer, field: str) -> None:
    envelope = json.loads(signer.sign(PAYLOAD))
    if field == "payload":
        envelope["payload"] = base64.b64encode(PAYLOAD.replace(b"800", b"801")).decode()
    elif field == "payloadType":
        envelope["payloadType"] = "application/json"
    else:
        signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        signature[0] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    with pytest.raises(SignatureInvalid):
        signer.verify(json.dumps(envelope).encode())


def test_a_foreign_key_is_refused_even_under_our_key_id(signer: Signer, make: MakeSigner, tmp_path: Path) -> None:
    envelope = json.loads(make(tmp_path / "other").sign(PAYLOAD))
    signer.sign(PAYLOAD)
    with pytest.raises(SignatureInvalid):
        signer.verify(json.dumps(envelope).encode())
    envelope["signatures"][0]["keyid"] = signer.key_id
    with pytest.raises(SignatureInvalid):
        signer.verify(json.dumps(envelope).encode())


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b'{"payload": 1}',
        b'{"payload": "!", "payloadType": "x", "signatures": []}',
        b'{"payload": "", "payloadType": "x", "signatures": []}',
        b'{"payload": "", "payloadType": "x", "signatures": [7]}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_refused(signer: Signer, envelope: bytes) -> None:
    signer.sign(PAYLOAD)
    with pytest.raises(SignatureInvalid):
        signer.verify(envelope)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_never_changes_what_verifies(signer: Signer, position: int, bit: int) -> None:
    envelope = bytearray(signer.sign(PAYLOAD))
    envelope[position % len(envelope)] ^= 1 << bit
    with contextlib.suppress(SignatureInvalid):
        assert signer.verify(bytes(envelope)) == PAYLOAD  # a change outside payload and signature may pass


def test_embedded_private_key_is_the_owners_alone(tmp_path: Path) -> None:
    Ed25519Signer(tmp_path / "keys").sign(PAYLOAD)
    assert stat.S_IMODE(os.stat(tmp_path / "keys" / PRIVATE).st_mode) == 0o600


def test_a_revoked_key_verifies_no_more_and_signs_no_more(signer: Signer) -> None:
    envelope = signer.sign(PAYLOAD)
    signer.revoke(signer.key_id, "laptop lost")
    with pytest.raises(SignatureInvalid, match="laptop lost"):
        signer.verify(envelope)
    with pytest.raises(CannotSign, match="laptop lost"):
        signer.sign(PAYLOAD)
    opened = signer.open(envelope)
    assert (opened.payload, opened.revoked) == (PAYLOAD, "laptop lost")
    [key] = signer.known_keys()
    assert (key.key_id, key.active, key.revoked) == (opened.key_id, True, "laptop lost")


def test_a_revocation_counts_even_when_its_file_is_empty_or_the_public_key_gone(signer: Signer, tmp_path: Path) -> None:
    envelope = signer.sign(PAYLOAD)
    key_id = signer.key_id
    (tmp_path / "keys" / f"{key_id}{REVOKED}").write_text("")
    with pytest.raises(SignatureInvalid, match="no reason can be read"):
        signer.verify(envelope)
    (tmp_path / "keys" / f"{key_id}{PUBLIC}").unlink()
    with pytest.raises(CannotSign):
        signer.sign(PAYLOAD)


def test_what_nobody_knows_cannot_be_revoked(signer: Signer) -> None:
    signer.sign(PAYLOAD)
    with pytest.raises(KeyError):
        signer.revoke("0" * 64, "why not")
    assert signer.verify(signer.sign(PAYLOAD)) == PAYLOAD


def test_keys_are_listed_without_making_one(make: MakeSigner, tmp_path: Path) -> None:
    assert all(key.active for key in make(tmp_path / "keys").known_keys())
    assert not (tmp_path / "keys").exists()


def test_a_public_file_that_is_none_stops_verifying_with_its_name(signer: Signer, tmp_path: Path) -> None:
    envelope = signer.sign(PAYLOAD)
    (tmp_path / "keys" / f"broken{PUBLIC}").write_text("no key")
    with pytest.raises(SignatureInvalid, match="broken"):
        signer.verify(envelope)


def test_rotated_away_keys_still_verify(tmp_path: Path) -> None:
    signer = Ed25519Signer(tmp_path)
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


def test_a_second_signature_by_a_key_that_counts_is_enough(tmp_path: Path) -> None:
    signer = Ed25519Signer(tmp_path)
    both, old_id = json.loads(signer.sign(PAYLOAD)), signer.key_id
    signer.rotate()
    both["signatures"] += json.loads(signer.sign(PAYLOAD))["signatures"]
    signer.revoke(old_id, "retired")
    assert signer.verify(json.dumps(both).encode()) == PAYLOAD


def test_another_key_in_the_environment_is_a_rotation(tmp_path: Path) -> None:
    pems = [CryptoSigner.generate_ed25519().private_bytes.decode() for _ in range(2)]
    first, second = (EnvironmentSigner(tmp_path, {KEY: pem}) for pem in pems)
    assert second.verify(first.sign(PAYLOAD)) == first.verify(second.sign(PAYLOAD)) == PAYLOAD
    with pytest.raises(CannotSign, match=KEY):
        first.rotate()


def test_a_key_from_the_environment_is_never_written_down_and_the_gateway_needs_none(tmp_path: Path) -> None:
    signer = CryptoSigner.generate_ed25519()
    envelope = EnvironmentSigner(tmp_path, {KEY: signer.private_bytes.decode()}).sign(PAYLOAD)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"PUBLIC KEY" in written
    assert b"PRIVATE" not in written
    assert Ed25519Signer(tmp_path).verify(envelope) == PAYLOAD


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, f"set {KEY}"),
        ({KEY: ""}, f"set {KEY}"),
        ({KEY: "s3cr3t"}, f"{KEY} is not"),
        ({KEY_FILE: "/nonesuch"}, "cannot be read"),
        ({KEY: CryptoSigner.generate_ecdsa().private_bytes.decode()}, "Ed25519"),
    ],
)
def test_a_key_that_is_none_is_said_without_showing_it(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSign, match=words) as error:
        EnvironmentSigner(tmp_path, environ).sign(PAYLOAD)
    assert "s3cr3t" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_embedded_public_key_is_enough_to_verify_and_not_to_sign(tmp_path: Path) -> None:
    envelope = Ed25519Signer(tmp_path).sign(PAYLOAD)
    (tmp_path / PRIVATE).unlink()
    gateway = Ed25519Signer(tmp_path)
    assert gateway.verify(envelope) == PAYLOAD
    with pytest.raises(CannotSign, match="verify but not sign"):
        gateway.sign(PAYLOAD)
    gateway.rotate()
    assert gateway.verify(gateway.sign(PAYLOAD)) == PAYLOAD


def test_embedded_without_any_key_nothing_verifies_and_none_is_made(tmp_path: Path) -> None:
    envelope = Ed25519Signer(tmp_path / "a").sign(PAYLOAD)
    with pytest.raises(SignatureInvalid, match="no key to trust"):
        Ed25519Signer(tmp_path / "b").verify(envelope)
    assert not (tmp_path / "b").exists()


def test_embedded_public_key_is_restored_from_the_private_one(tmp_path: Path) -> None:
    signer = Ed25519Signer(tmp_path)
    envelope = signer.sign(PAYLOAD)
    (tmp_path / f"{signer.key_id}{PUBLIC}").unlink()
    signer.sign(PAYLOAD)
    assert signer.verify(envelope) == PAYLOAD
