"""What is signed for other tools: their own verifier takes it, and refuses a file that was changed, added or removed."""

import json
import re
import shlex
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.signer import CryptoSigner

from ftassets.backends.artifacts.version_folder import MANIFEST, file_digests
from ftassets.backends.signer.environment import KEY, EnvironmentSigner
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.signer.model_signature import model_signature
from ftassets.config.home import Home
from ftassets.domain.canonical import digest_of_bytes
from ftassets.testing.releases import make_version
from ftassets_tests import ROOT

TOOL = Path(sys.executable).with_name("model_signing")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def version(home: Home) -> str:
    return make_version(home, "a")


def sign(home: Home, digest: str, signer: FolderSigner | EnvironmentSigner) -> bytes | None:
    folder = home.versions / digest
    return model_signature(signer, digest, {**file_digests(folder), MANIFEST: digest_of_bytes((folder / MANIFEST).read_bytes())})


def test_the_signature_is_of_every_file_and_by_the_release_key(home: Home, version: str) -> None:
    signer = FolderSigner(home.keys)
    bundle = json.loads(sign(home, version, signer) or b"")
    envelope = bundle["dsseEnvelope"]
    payload = b64decode(envelope["payload"])
    named = {each["name"]: each["digest"] for each in json.loads(payload)["predicate"]["resources"]}
    folder = home.versions / version
    assert named == {
        path.relative_to(folder).as_posix(): digest_of_bytes(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }
    pem = signer.public_key(signer.key_id)
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == digest_of_bytes(pem)
    signed = f"DSSEv1 {len(envelope['payloadType'])} {envelope['payloadType']} {len(payload)} ".encode() + payload
    key = load_pem_public_key(pem)
    assert isinstance(key, EllipticCurvePublicKey)
    key.verify(b64decode(envelope["signatures"][0]["sig"]), signed, ECDSA(hashes.SHA256()))


def test_an_ed25519_key_makes_none(home: Home, version: str) -> None:
    pem = CryptoSigner.generate_ed25519().private_bytes.decode()
    assert sign(home, version, EnvironmentSigner(home.keys, {KEY: pem})) is None


@pytest.mark.skipif(not TOOL.exists(), reason="the verifier of OpenSSF is not installed: pip install model-signing pyopenssl")
def test_the_verifier_of_openssf_by_the_command_of_the_docs(home: Home, version: str, tmp_path: Path) -> None:
    signer, folder = FolderSigner(home.keys), home.versions / version
    (tmp_path / "release-pack").mkdir()
    (tmp_path / "release-pack" / "model.sig").write_bytes(sign(home, version, signer) or b"")
    [said] = re.findall(r"^model_signing (verify .*)$", (ROOT / "docs" / "gates.md").read_text(), re.MULTILINE)
    said = said.replace("versions/DIGEST", str(folder)).replace("keys/KEY", str(home.keys / signer.key_id))

    def verified() -> str:
        made = subprocess.run([TOOL, *shlex.split(said)], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (made.returncode == 0) == ("Verification succeeded" in made.stdout)
        return made.stdout + made.stderr

    assert "Verification succeeded" in verified()
    weights = next(folder.rglob("*.safetensors"))
    content = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    assert f"Hash mismatch for '{weights.relative_to(folder)}'" in verified()
    weights.write_bytes(content)
    (folder / "extra.txt").write_text("x")
    assert "Extra files found" in verified()
    other = FolderSigner(tmp_path / "other")
    said = said.replace(str(home.keys / signer.key_id), str(tmp_path / "other" / other.key_id))
    assert "Key mismatch" in verified()
