"""A PostgreSQL server in a temporary folder, which tests and benchmarks may stop and kill."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from types import TracebackType

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pg8000.native import Connection  # noqa: TID253 - only tests import this module

PASSWORD = "pass/w#rd"  # the characters a URL must encode
ADMINISTRATOR = "administrator"
DATABASE = "traffic"


def binaries() -> Path | None:
    """Folder of `initdb` and `postgres`, the newest release of a Debian system or whatever is on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    path = found[-1] if found else shutil.which("initdb")
    return Path(path).resolve().parent if path else None


class PostgresServer:
    """Runs as the system's user postgres when started by root, which PostgreSQL refuses to serve."""

    def __init__(self, durable: bool = False) -> None:
        """`durable` leaves the settings as they are installed; else nothing waits for the disk, and a kill of the machine may lose rows."""
        found = binaries()
        if found is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
        self._binaries, self._numbers = found, count()
        self._as = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        self.folder = Path(tempfile.mkdtemp(prefix="ftassets-postgres-"))
        if self._as:
            os.chown(self.folder, *pwd.getpwnam("postgres")[2:4])
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._data = self.folder / "data"
        options = ["-U", ADMINISTRATOR, "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"]
        command = [found / "initdb", "-D", self._data, *options]
        subprocess.run(command, check=True, capture_output=True, cwd=self.folder, **self._as)  # type: ignore[call-overload]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command: list[str] = [str(found / "postgres"), "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", ""]
        if not durable:
            self._command += ["-c", "fsync=off", "-c", "autovacuum=off"]
        self.start()
        with self.administrator("postgres") as connection:
            connection.run(f"CREATE DATABASE {DATABASE}")

    def start(self) -> None:
        """Until it takes connections."""
        self._connection: Connection | None = None  # that of an earlier life is broken
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **self._as)  # type: ignore[call-overload]
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the process whose children serve the connections."""
        return self._process.pid

    def stop(self) -> None:
        """As an administrator would, ending connections at once."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def kill(self) -> None:
        """kill -9 of the server and all that serve its connections, without a chance to write anything."""
        children = [int(pid) for pid in Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()]
        for pid in (self._process.pid, *children):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait(30)
        while any(Path(f"/proc/{pid}").exists() and "(postgres) Z" not in Path(f"/proc/{pid}/stat").read_text() for pid in children):
            time.sleep(0.01)

    def administrator(self, database: str = DATABASE) -> Connection:
        """A connection that may do everything."""
        return Connection(ADMINISTRATOR, host="127.0.0.1", port=self.port, database=database, password=PASSWORD, ssl_context=False)

    def _asked(self, query: str) -> str:
        with self.administrator() as connection:
            return connection.run(query)[0][0]

    @contextmanager
    def tls(self) -> Iterator[Path]:
        """New connections may be encrypted meanwhile; the certificate, of 127.0.0.1 and signed by itself."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
        builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        certificate = self.folder / "certificate.pem"
        certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM))
        secret = self.folder / "key.pem"
        secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        secret.chmod(0o600)
        for path in (certificate, secret):
            os.chown(path, self.folder.stat().st_uid, -1)
        with self.administrator() as connection:
            for setting in (f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{secret}'", "ssl = on"):
                connection.run(f"ALTER SYSTEM SET {setting}")
            connection.run("SELECT pg_reload_conf()")
            while self._asked("SHOW ssl") != "on":  # the server reads its files when it has time
                time.sleep(0.02)
            yield certificate
            connection.run("ALTER SYSTEM RESET ALL")
            connection.run("SELECT pg_reload_conf()")

    def account(self) -> str:
        """URL for a new user, who has an empty schema of his own: a tenth of the cost of a database."""
        name = f"user{next(self._numbers)}"
        if self._connection is None:
            self._connection = self.administrator()
        self._connection.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; CREATE SCHEMA AUTHORIZATION {name}")
        return self.url(name)

    def url(self, user: str, database: str = DATABASE) -> str:
        """URL of a database for a user; without TLS, as asking for it costs 50 ms a connection and the server has none."""
        return f"postgresql://{user}:pass%2Fw%23rd@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def __enter__(self) -> "PostgresServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
