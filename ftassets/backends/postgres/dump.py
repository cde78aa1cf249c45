"""Copies of tables in a PostgreSQL database, made and brought back by the server's own programs, pg_dump and pg_restore."""

import os
import shutil
import ssl
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ftassets.backends.postgres.base import DatabaseTables, DumpFailed
from ftassets.backends.postgres.pool import Connections, Link, Use
from ftassets.errors import InvalidInput, PackageMissing

LOCK_SECONDS = 60  # that a copy waits for whoever changes the tables themselves
_SHOWN = 300  # characters of a program's words


class PostgresTables(DatabaseTables):
    """Tables of this package in the database of a URL, in the schema in which its user makes tables."""

    def __init__(self, name: str, url: str, use: Use, tables: Sequence[str], with_rows: str) -> None:
        """`with_rows` is the one of the tables that has a row as soon as they are made. Raises ConfigurationError for an invalid URL."""
        self._server = Connections(url, use, lambda link, patiently, place: None)
        self._tables, self._with_rows = tuple(tables), with_rows
        self.name, self.place, self.variable = name, self._server.where.place, use.variable

    def dump(self, to: Path) -> bool:
        if not self._server.do(self._made):
            return False
        # not compressed: rows that the copy before had are the same bytes again, and a backup does not store them twice
        options = ["--format=custom", "--compress=0", f"--lock-wait-timeout={LOCK_SECONDS}s", f"--file={to}"]
        self._run("pg_dump", *options, *(f"--table={table}" for table in self._tables))
        return True

    def check_empty(self) -> None:
        _program("pg_restore")
        self._server.do(self._check_empty)

    def load(self, source: Path) -> None:
        def make_room(link: Link) -> None:
            link.run("BEGIN")
            if made := self._made(link):
                link.run(f"LOCK TABLE {', '.join(made)} IN ACCESS EXCLUSIVE MODE")
            self._check_empty(link)
            self._drop(link)
            link.run("COMMIT")

        self._server.do(make_room)
        database = self._server.where.database.replace("\\", "\\\\").replace("'", "\\'")
        self._run("pg_restore", "--single-transaction", "--exit-on-error", f"--dbname=dbname='{database}'", str(source))

    def drop(self) -> None:
        self._server.do(self._drop)

    def _made(self, link: Link) -> list[str]:
        """Those of the tables that there are."""
        return [table for table in self._tables if link.run("SELECT to_regclass(:name) IS NOT NULL", name=table) == [[True]]]

    def _check_empty(self, link: Link) -> None:
        for table in self._made(link):
            if table != self._with_rows and link.run(f"SELECT EXISTS (SELECT 1 FROM {table})") == [[True]]:
                raise InvalidInput(
                    f"{table} in {self.place} has rows, and nothing is written over: stop what uses it and let {self.variable} name an "
                    "empty database, or give --without-databases if its rows are those to go on with"
                )

    def _drop(self, link: Link) -> None:
        link.run(f"DROP TABLE IF EXISTS {', '.join(self._tables)}")

    def _run(self, program: str, *options: str) -> None:
        command = [_program(program), "--no-password", "--no-owner", "--no-privileges", *options]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            # only the first of its lines: further ones may quote a row, which has users' texts
            said = next((line for line in done.stderr.splitlines() if "error:" in line), f"exit code {done.returncode}")[:_SHOWN]
            raise DumpFailed(f"{program} failed on {self.place}: {said}")

    def _environment(self) -> dict[str, str]:
        """Where the server is, for its programs: nothing else that they read from the environment, and no password in a command line."""
        where = self._server.where
        found = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        found |= {"PGHOST": where.host, "PGPORT": str(where.port), "PGDATABASE": where.database, "PGUSER": where.user}
        found |= {"PGSSLMODE": where.sslmode, "PGAPPNAME": "ftassets"}
        if where.password is not None:
            found["PGPASSWORD"] = where.password
        if where.sslmode in ("verify-ca", "verify-full"):  # those that connections of this package trust
            found["PGSSLROOTCERT"] = where.sslrootcert or ssl.get_default_verify_paths().cafile or ""
        return found


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise PackageMissing(
            f"{name} is not installed, which copies PostgreSQL tables: install the client programs of the server's release or a newer one "
            "(apt-get install postgresql-client), or give --without-databases and let the server's own backup have them"
        )
    return path
