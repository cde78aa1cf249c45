"""Signers for tests of what all of them share."""

from pathlib import Path

from securesystemslib.signer import CryptoSigner

from ftassets.backends.signer.environment import KEY_FILE, EnvironmentSigner


def from_environment(folder: Path) -> EnvironmentSigner:
    """A signer whose key a secret manager put beside the folder; the same key for the same folder."""
    secret = folder.with_name(f"{folder.name}.secret.pem")
    if not secret.exists():
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_bytes(CryptoSigner.generate_ed25519().private_bytes)
    return EnvironmentSigner(folder, {KEY_FILE: str(secret)})
