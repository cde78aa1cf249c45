"""A PostgreSQL server of its own in a temporary folder, which tests and benchmarks may stop and kill."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from types import TracebackType

from pg8000.native import Connection

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

    def __init__(self, fsync: bool = False) -> None:
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
        command = [found / "initdb", "-D", self._data, "-U", ADMINISTRATOR, "-A", "md5", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, cwd=self.folder, **self._as)  # type: ignore[call-overload]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            str(found / "postgres"), "-D", str(self._data), "-p", str(self.port), "-h", "127.0.0.1", "-k", "",
            "-c", f"fsync={'on' if fsync else 'off'}", "-c", "shared_buffers=32MB", "-c", "max_wal_size=64MB", "-c", "autovacuum=off",
        ]  # fmt: skip
        self.start()
        with self.administrator("postgres") as connection:
            connection.run(f"CREATE DATABASE {DATABASE}")

    def start(self) -> None:
        """Until it takes connections."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.folder, **self._as)  # type: ignore[call-overload]
        ready = [self._binaries / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text())
            time.sleep(0.02)

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
        return Connection(ADMINISTRATOR, host="127.0.0.1", port=self.port, database=database, password=PASSWORD)

    def account(self, encryption: str = "md5") -> str:
        """URL for a new user, who has an empty schema of his own: a tenth of the cost of a database.

        `encryption` is that of the password; scram-sha-256 takes pg8000 a CPU-second for 15 connections.
        """
        name = f"user{next(self._numbers)}"
        with self.administrator() as connection:
            connection.run(f"SET password_encryption = '{encryption}'")
            connection.run(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
            connection.run(f"CREATE SCHEMA AUTHORIZATION {name}")
        return self.url(name)

    def url(self, user: str, database: str = DATABASE) -> str:
        """URL of a database for a user."""
        return f"postgresql://{user}:pass%2Fw%23rd@127.0.0.1:{self.port}/{database}"

    def close(self) -> None:
        """Leave nothing behind."""
        if self._process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def __enter__(self) -> "PostgresServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
