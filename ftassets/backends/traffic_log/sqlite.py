"""The traffic log in one SQLite file, shared by the processes of one machine."""

import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from filelock import FileLock

from ftassets.backends.traffic_log.base import (
    Exchange,
    Feedback,
    LogUnusable,
    Reviewed,
    StillReadable,
    TrafficLog,
    UnknownAnswer,
    check_forget,
    storable,
)

BUSY_SECONDS = 30.0
SCHEMA_VERSION = 3
_FORGOTTEN = "CREATE TABLE forgotten (id TEXT PRIMARY KEY) WITHOUT ROWID;"
SCHEMA = f"""
CREATE TABLE exchange (
    id TEXT PRIMARY KEY, loop TEXT NOT NULL, version TEXT NOT NULL, user TEXT NOT NULL, prompt TEXT NOT NULL, messages TEXT NOT NULL,
    answer TEXT NOT NULL, status INTEGER NOT NULL, at REAL NOT NULL, latency_ms REAL NOT NULL, first_token_ms REAL,
    tokens_in INTEGER, tokens_out INTEGER, weight REAL NOT NULL, error TEXT
);
CREATE INDEX exchange_by_time ON exchange (loop, at);
CREATE TABLE feedback (
    number INTEGER PRIMARY KEY, request_id TEXT NOT NULL REFERENCES exchange (id), at REAL NOT NULL, rating TEXT, correction TEXT
);
CREATE INDEX feedback_by_request ON feedback (request_id, at);
{_FORGOTTEN}
"""
MIGRATIONS = {
    1: _FORGOTTEN,
    2: "ALTER TABLE exchange RENAME COLUMN share TO weight; UPDATE exchange SET weight = 100 * weight;",  # from 0..1 to percent
}  # from this schema to the next one
_AGAIN = "forget them once more, when the disk has room for a second copy of the log and no long query reads from it"
_COLUMNS = [field.name for field in fields(Exchange)]
_SELECTED = ", ".join(f"e.{name}" for name in _COLUMNS)


class SqliteTrafficLog(TrafficLog):
    """Rows outlive a kill of any process; a power cut may take the last ones (WAL with synchronous=NORMAL)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()

    def check(self) -> str:
        return f"SQLite file {self._path}, for the processes of this machine"

    def append(self, exchanges: Sequence[Exchange]) -> int:
        if not exchanges:
            return 0
        marks = ", ".join("?" * len(_COLUMNS))
        rows = [tuple(map(storable, astuple(exchange))) for exchange in exchanges]
        with self._connection() as connection:
            stored = connection.executemany(
                f"INSERT INTO exchange ({', '.join(_COLUMNS)}) SELECT {marks} "
                "WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE id = ?) ON CONFLICT (id) DO NOTHING",
                [(*row, row[0]) for row in rows],
            )
        return stored.rowcount

    def add_feedback(self, feedback: Feedback) -> None:
        row = tuple(map(storable, astuple(feedback)))
        with self._connection() as connection:
            stored = connection.execute(
                "INSERT INTO feedback (request_id, at, rating, correction) SELECT ?, ?, ?, ? "
                "WHERE EXISTS (SELECT 1 FROM exchange WHERE id = ?)",
                (*row, row[0]),
            )
        if stored.rowcount != 1:
            raise UnknownAnswer(f"there is no answer {feedback.request_id!r} in the log")

    def exchanges(self, loop: str, since: float = 0.0, until: float = float("inf"), limit: int | None = None) -> list[Exchange]:
        rows = self._connection().execute(
            f"SELECT {_SELECTED} FROM exchange e WHERE loop = ? AND at >= ? AND at < ? ORDER BY at, rowid LIMIT ?",
            (loop, since, until, -1 if limit is None else limit),
        )
        return [Exchange(*row) for row in rows]

    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        rows = self._connection().execute(
            f"""SELECT {_SELECTED}, f.request_id, f.at, f.rating, f.correction FROM exchange e
                JOIN feedback f ON f.number = (SELECT number FROM feedback WHERE request_id = e.id ORDER BY at DESC, number DESC LIMIT 1)
                WHERE e.loop = ? AND e.at >= ? ORDER BY e.at, e.rowid""",
            (loop, since),
        )
        width = len(_COLUMNS)
        return [Reviewed(Exchange(*row[:width]), Feedback(*row[width:])) for row in rows]

    def count(self, loop: str, since: float = 0.0) -> int:
        return self._connection().execute("SELECT count(*) FROM exchange WHERE loop = ? AND at >= ?", (loop, since)).fetchone()[0]

    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        check_forget(user, request_ids)
        connection = self._connection()
        with connection:
            connection.execute("BEGIN IMMEDIATE")  # what is found must be what is deleted
            of_user = connection.execute("SELECT id FROM exchange WHERE user = ? AND loop = coalesce(?, loop)", (user, loop))
            ids = {row[0] for row in of_user}
            for name in map(storable, request_ids):
                found = connection.execute("SELECT loop FROM exchange WHERE id = ?", (name,)).fetchone()
                if loop is None or found is None or found[0] == loop:
                    ids.add(name)
            keys = [(name,) for name in sorted(ids)]
            connection.executemany("DELETE FROM feedback WHERE request_id = ?", keys)
            connection.executemany("DELETE FROM exchange WHERE id = ?", keys)
            connection.executemany("INSERT INTO forgotten (id) VALUES (?) ON CONFLICT DO NOTHING", keys)
        self._wipe(connection)
        return [name for (name,) in keys]

    def forgotten(self) -> set[str]:
        return {row[0] for row in self._connection().execute("SELECT id FROM forgotten")}

    def _wipe(self, connection: sqlite3.Connection) -> None:
        """Leave no copy of deleted rows: secure delete misses what splits left in the gaps of pages, so the file is written anew.

        Writers wait meanwhile; then the write-ahead log, which has older copies of pages, is emptied.
        """
        try:
            connection.execute("VACUUM")
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise StillReadable(f"the rows are deleted from {self._path}, but their text is still in it ({error}): {_AGAIN}") from error
        if busy:
            raise StillReadable(f"the rows are deleted from {self._path}, but a reader held their text in {self._path}-wal: {_AGAIN}")

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection: SQLite's must not be shared between threads nor carried over a fork."""
        if getattr(self._local, "pid", None) != os.getpid():
            self._local.connection = self._open()
            self._local.pid = os.getpid()
        return self._local.connection

    def _open(self) -> sqlite3.Connection:
        try:
            return self._opened()
        except sqlite3.DatabaseError as error:
            raise LogUnusable(
                f"the traffic log {self._path} cannot be opened ({error}): check that it is a file this user may write; "
                "restore a copy of it, or move it away to start with an empty log"
            ) from error

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # the busy timeout does not cover the switch to WAL, so processes that start together take turns
        with FileLock(f"{self._path}.lock"):
            connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA secure_delete = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                connection.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
                version = SCHEMA_VERSION
            while version in MIGRATIONS:
                connection.executescript(f"BEGIN; {MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;")
                version += 1
            if version != SCHEMA_VERSION:
                connection.close()
                raise LogUnusable(f"{self._path} has schema {version}, this release reads {SCHEMA_VERSION}: move the file away or upgrade")
        return connection
