"""A signer whose private key a secret manager hands over."""

from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner

from ftassets.backends.signer.base import CannotSign
from ftassets.backends.signer.environment import KEY, KEY_FILE, EnvironmentSigner
from ftassets.backends.signer.folder import FolderSigner
from ftassets.testing.contracts.signer import PAYLOAD


def test_another_key_in_the_environment_is_a_rotation_also_to_another_kind(tmp_path: Path) -> None:
    pems = [make().private_bytes.decode() for make in (CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa)]
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
    assert FolderSigner(tmp_path).verify(envelope) == PAYLOAD


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, f"set {KEY}"),
        ({KEY: ""}, f"set {KEY}"),
        ({KEY: "s3cr3t"}, f"{KEY} is not"),
        ({KEY_FILE: "/nonesuch"}, "cannot be read"),
        ({KEY: CryptoSigner.generate_ecdsa(scheme="ecdsa-sha2-nistp384").private_bytes.decode()}, "P-256 and Ed25519"),
    ],
)
def test_a_key_that_is_none_is_said_without_showing_it(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(CannotSign, match=words) as error:
        EnvironmentSigner(tmp_path, environ).sign(PAYLOAD)
    assert "s3cr3t" not in str(error.value)
    assert not list(tmp_path.iterdir())
