"""What every signer must do."""

import base64
import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftassets.backends.signer.base import CannotSign, SignatureInvalid, Signer
from ftassets.domain.release.statement import PAYLOAD_TYPE
from ftassets.errors import InvalidInput

MakeSigner = Callable[[Path], Signer]
PAYLOAD = b'{"rows": 800, "share": 0.50,  "note": "\xc3\xa9"}\n'


class SignerContract:
    """Subclass it with a fixture `make`: a function that opens the signer of a folder, the same key for the same folder."""

    @pytest.fixture
    def make(self) -> MakeSigner:
        raise NotImplementedError("a contract is run by a subclass with a fixture `make`")

    @pytest.fixture
    def signer(self, make: MakeSigner, tmp_path: Path) -> Signer:
        return make(tmp_path / "keys")

    def test_payload_comes_back_byte_for_byte(self, signer: Signer) -> None:
        assert signer.verify(signer.sign(PAYLOAD)) == PAYLOAD

    def test_envelope_is_dsse_and_names_the_key(self, signer: Signer) -> None:
        envelope = json.loads(signer.sign(PAYLOAD))
        assert base64.b64decode(envelope["payload"]) == PAYLOAD
        assert envelope["payloadType"] == PAYLOAD_TYPE
        assert [s["keyid"] for s in envelope["signatures"]] == [signer.key_id]

    def test_the_key_is_made_once(self, make: MakeSigner, tmp_path: Path) -> None:
        first, second = make(tmp_path), make(tmp_path)
        assert first.key_id == second.key_id
        assert second.verify(first.sign(PAYLOAD)) == PAYLOAD

    @pytest.mark.parametrize("field", ["payload", "payloadType", "sig"])
    def test_any_change_is_refused(self, signer: Signer, field: str) -> None:
        envelope = json.loads(signer.sign(PAYLOAD))
        assert signer.verify(json.dumps(envelope).encode()) == PAYLOAD
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

    def test_a_foreign_key_is_refused_even_under_our_key_id(self, signer: Signer, make: MakeSigner, tmp_path: Path) -> None:
        other = make(tmp_path / "other")
        envelope = json.loads(other.sign(PAYLOAD))
        assert other.verify(json.dumps(envelope).encode()) == PAYLOAD
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
    def test_what_is_no_envelope_is_refused(self, signer: Signer, envelope: bytes) -> None:
        signer.sign(PAYLOAD)
        with pytest.raises(SignatureInvalid):
            signer.verify(envelope)

    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors])
    @given(position=st.integers(min_value=0), bit=st.integers(0, 7))
    def test_a_flipped_bit_never_changes_what_verifies(self, signer: Signer, position: int, bit: int) -> None:
        envelope = bytearray(signer.sign(PAYLOAD))
        envelope[position % len(envelope)] ^= 1 << bit
        with contextlib.suppress(SignatureInvalid):
            assert signer.verify(bytes(envelope)) == PAYLOAD  # a change outside payload and signature may pass

    def test_a_revoked_key_verifies_no_more_and_signs_no_more(self, signer: Signer) -> None:
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

    def test_what_nobody_knows_cannot_be_revoked(self, signer: Signer) -> None:
        signer.sign(PAYLOAD)
        with pytest.raises(InvalidInput, match="0" * 12):
            signer.revoke("0" * 64, "why not")
        assert signer.verify(signer.sign(PAYLOAD)) == PAYLOAD

    def test_keys_are_listed_without_making_one(self, make: MakeSigner, tmp_path: Path) -> None:
        assert all(key.active for key in make(tmp_path / "keys").known_keys())
        assert not (tmp_path / "keys").exists()
