"""Where the gateway listens."""

import asyncio
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from ftassets.config.home import Home
from ftassets.gateway.server import Address, CannotServe, serve
from ftassets.testing.releases import loop_config, released
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


def test_the_admin_api_is_on_loopback_whatever_the_public_address_is(home: Home, host: ThreadHost) -> None:
    found: list[Address] = []
    stop = asyncio.Event()

    def started(address: Address) -> None:
        found.append(address)
        stop.set()

    asyncio.run(serve(home, {}, host, stop, bind="127.0.0.2", started=started))
    [address] = found
    assert (urlsplit(address.public).hostname, urlsplit(address.admin).hostname) == ("127.0.0.2", "127.0.0.1")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "locked.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word")))
    return folder / "cert.pem", folder / "key.pem"


def test_openai_s_client_over_https(home: Home, host: ThreadHost, certificate: tuple[Path, Path]) -> None:
    chain, key = certificate
    with run_gateway_in_thread(home, {"support": loop_config()}, host, certificate=chain, key=key) as (serving, url):
        assert url.startswith("https://127.0.0.1:")
        serving.start("support", digest := released(home, "a"), 100, 60.0, "test", "because")
        with httpx.Client(verify=str(chain), trust_env=False) as transport:
            client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", http_client=transport, max_retries=0)
            asked: Any = {"model": "support", "messages": [{"role": "user", "content": "hello there"}]}
            assert client.chat.completions.create(**asked).choices[0].message.content == f"{digest} hello there"
            chunks = list(client.chat.completions.create(**asked, stream=True))
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == f"{digest} hello there "
            [model] = client.models.list().data
            assert (model.id, model.version, model.versions) == ("support", digest, {digest: 100})  # type: ignore[attr-defined]
        with pytest.raises(httpx.TransportError):
            httpx.get(url.replace("https", "http") + "/livez", trust_env=False)


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (("cert.pem", None), "needs both files"),
        ((None, "key.pem"), "needs both files"),
        (("cert.pem", "locked.pem"), "the key has a password"),
        (("key.pem", "cert.pem"), "are no certificate with its unencrypted key"),
        (("cert.pem", "nonesuch.pem"), "are no certificate with its unencrypted key"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_once(
    home: Home, host: ThreadHost, certificate: tuple[Path, Path], files: tuple[str | None, str | None], why: str
) -> None:
    chain, key = [name and certificate[0].with_name(name) for name in files]
    with pytest.raises(CannotServe, match=why):
        asyncio.run(serve(home, {}, host, asyncio.Event(), certificate=chain, key=key))
