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

from ftassets.domain.attestation import PAYLOAD_TYPE
from ftassets.resources.signer.base import SignatureInvalid, Signer
from ftassets.resources.signer.embedded import PRIVATE, PUBLIC, Ed25519Signer

MakeSigner = Callable[[Path], Signer]
BACKENDS: dict[str, MakeSigner] = {"embedded": Ed25519Signer}
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


def test_embedded_public_key_is_enough_to_verify_and_not_to_sign(tmp_path: Path) -> None:
    envelope = Ed25519Signer(tmp_path).sign(PAYLOAD)
    (tmp_path / PRIVATE).unlink()
    gateway = Ed25519Signer(tmp_path)
    assert gateway.verify(envelope) == PAYLOAD
    assert gateway.key_id == json.loads(envelope)["signatures"][0]["keyid"]
    with pytest.raises(FileNotFoundError, match="verify but not sign"):
        gateway.sign(PAYLOAD)


def test_embedded_without_any_key_nothing_verifies_and_none_is_made(tmp_path: Path) -> None:
    envelope = Ed25519Signer(tmp_path / "a").sign(PAYLOAD)
    with pytest.raises(SignatureInvalid, match="no key to trust"):
        Ed25519Signer(tmp_path / "b").verify(envelope)
    assert not (tmp_path / "b").exists()


def test_embedded_public_key_is_restored_from_the_private_one(tmp_path: Path) -> None:
    signer = Ed25519Signer(tmp_path)
    before = signer.key_id
    (tmp_path / PUBLIC).unlink()
    assert signer.key_id == before


def test_embedded_exchanged_public_key_stops_signing(tmp_path: Path) -> None:
    Ed25519Signer(tmp_path / "a").sign(PAYLOAD)
    Ed25519Signer(tmp_path / "b").sign(PAYLOAD)
    (tmp_path / "a" / PUBLIC).write_bytes((tmp_path / "b" / PUBLIC).read_bytes())
    with pytest.raises(ValueError, match="does not match"):
        Ed25519Signer(tmp_path / "a").sign(PAYLOAD)
