"""Control as rows of a PostgreSQL database that machines share."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ftassets.backends.control.base import Control, ControlUnreachable, ControlUnusable, Locked, Overtaken
from ftassets.backends.control.postgres_lock import RowLock
from ftassets.backends.postgres.base import DatabaseTables
from ftassets.backends.postgres.dump import PostgresTables
from ftassets.backends.postgres.pool import Connections, Link, Use, errors, is_lost, reason, state_of
from ftassets.domain.keys import checked

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE control_document (key text COLLATE "C" PRIMARY KEY, content bytea NOT NULL, change uuid NOT NULL);
CREATE TABLE control_log (key text COLLATE "C" PRIMARY KEY);
CREATE TABLE control_line (
    key text COLLATE "C" REFERENCES control_log ON DELETE CASCADE, number bigint GENERATED ALWAYS AS IDENTITY,
    change uuid UNIQUE NOT NULL, content bytea NOT NULL, PRIMARY KEY (key, number)
);
CREATE TABLE control_schema (version bigint NOT NULL);
"""
_USE = Use("control", "FTASSETS_CONTROL_URL", ControlUnreachable, ControlUnusable)
_SETUP_LOCK = 7_232_118_904_551
_UPDATE, _APPEND = 1, 2  # seeds: an update of a name and an append to it do not wait for one another
_HASH = "hashtextextended(current_schema() || '/' || :key, {seed})"
_SLICE = 5.0  # seconds that one statement waits for a lock: a longer silence looks like a dead server
_LOCK_TIMEOUT = "55P03"
_WRITE = """INSERT INTO control_document VALUES (:key, :content, CAST(:change AS uuid))
    ON CONFLICT (key) DO UPDATE SET content = excluded.content, change = excluded.change"""
_ADD_LINE = f"""
    WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock({_HASH.format(seed=_APPEND)})),
    log AS (INSERT INTO control_log SELECT :key FROM turn ON CONFLICT DO NOTHING)
    INSERT INTO control_line (key, change, content)
    SELECT :key, CAST(:change AS uuid), :content FROM turn ON CONFLICT (change) DO NOTHING RETURNING number"""
_LINE_OF = "SELECT number FROM control_line WHERE change = CAST(:change AS uuid)"
_LAST_LINE = "SELECT number FROM control_line WHERE key = :key ORDER BY number DESC LIMIT 1"
_NAMES = """
    SELECT DISTINCT split_part(substr(key, length(:folder) + 2), '/', 1)
    FROM (SELECT key FROM control_document UNION ALL SELECT key FROM control_log) AS known
    WHERE key > CAST(:folder AS text) || '/' AND key < CAST(:folder AS text) || '0'"""  # 0 comes after /


def tables(url: str) -> DatabaseTables:
    """All that control has in a database, for a backup. Raises as `PostgresControl` does."""
    names = ("document", "log", "line", "schema")
    return PostgresTables("control", url, _USE, [f"control_{name}" for name in names], "control_schema")


class PostgresControl(Control):
    """For processes of any number of machines.

    A call whose connection breaks is made once more on a new one: each change has an id, so that it is not made twice.
    """

    shared = True

    def __init__(self, url: str) -> None:
        """`url` as in FTASSETS_CONTROL_URL. Raises ConfigurationError if it is invalid or the driver is missing. Does not connect yet."""
        self._server = Connections(url, _USE, _set_up)

    def read(self, key: str) -> bytes | None:
        checked(key)
        found = self._server.do(lambda link: link.run("SELECT content FROM control_document WHERE key = :key", key=key))
        return bytes(found[0][0]) if found else None

    def write(self, key: str, content: bytes) -> None:
        change = {"key": checked(key), "content": content, "change": str(uuid.uuid4())}
        self._server.do(lambda link: link.run(_WRITE, **change))

    def update(self, key: str, change: Callable[[bytes | None], bytes | None], timeout: float | None = None) -> None:
        checked(key)
        name, deadline, failed = str(uuid.uuid4()), _deadline(timeout), list[Exception]()

        def work(link: Link) -> bool:
            if not _wait(link, key, _UPDATE, deadline):
                return False
            found = link.run("SELECT content, CAST(change AS text) FROM control_document WHERE key = :key", key=key)
            content, last = (bytes(found[0][0]), found[0][1]) if found else (None, None)
            if last != name:  # else it is made already, and only the server's word for it was lost
                try:
                    new = change(content)
                except Exception as error:  # also one that looks as if the connection had broken
                    failed.append(error)
                    link.run("ROLLBACK")
                    return True
                if new is not None:
                    link.run(_WRITE, key=key, content=new, change=name)
            link.run("COMMIT")
            return True

        if not self._server.do(work):
            raise Locked(f"{self.uri(key)} is being changed by another process")
        if failed:
            raise failed[0]

    def delete(self, key: str) -> None:
        checked(key)

        def work(link: Link) -> None:
            link.run("DELETE FROM control_document WHERE key = :key", key=key)
            link.run("DELETE FROM control_log WHERE key = :key", key=key)

        self._server.do(work)

    def names(self, folder: str) -> list[str]:
        checked(folder)
        return sorted(name for (name,) in self._server.do(lambda link: link.run(_NAMES, folder=folder)))

    def append(self, key: str, line: bytes, after: int | None = None) -> int:
        checked(key)
        if b"\n" in line:
            raise ValueError(f"{key} takes one line at a time")
        change = str(uuid.uuid4())

        def add(link: Link) -> int:
            added = link.run(_ADD_LINE, key=key, change=change, content=line)
            [[number]] = added or link.run(_LINE_OF, change=change)  # added already, if only the server's word for it was lost
            return int(number)

        def add_last(link: Link) -> int | None:
            _wait(link, key, _APPEND, _deadline(None))
            last = link.run(_LAST_LINE, key=key)
            found = link.run(_LINE_OF, change=change)
            number = found[0][0] if found else add(link) if (last[0][0] if last else 0) == after else None
            link.run("COMMIT")
            return number

        number = self._server.do(add if after is None else add_last)
        if number is None:
            raise Overtaken(f"{self.uri(key)} has grown meanwhile")
        return number

    def lines_after(self, key: str, cursor: int = 0) -> tuple[list[bytes], int]:
        checked(key)
        query = "SELECT content, number FROM control_line WHERE key = :key AND number > :cursor ORDER BY number"
        found = self._server.do(lambda link: link.run(query, key=key, cursor=cursor))
        return [bytes(content) for content, _ in found], int(found[-1][1]) if found else cursor

    def ends(self, key: str) -> tuple[bytes, bytes] | None:
        checked(key)
        query = "(SELECT content, number FROM control_line WHERE key = :key ORDER BY number {} LIMIT 1)"
        both = f"SELECT content FROM ({query.format('')} UNION ALL {query.format('DESC')}) ends ORDER BY number"
        found = [bytes(content) for (content,) in self._server.do(lambda link: link.run(both, key=key))]
        return (found[0], found[1]) if found else None

    @contextmanager
    def lock(self, key: str, timeout: float | None = None) -> Iterator[None]:
        held = RowLock(self._server, checked(key))
        if not held.acquire(timeout):
            raise Locked(f"{self.uri(key)} is held by another process")
        try:
            yield
        finally:
            kept = held.release()
        if not kept:
            raise ControlUnreachable(
                f"the lock {self.uri(key)} was lost while it was held, as its server was away: do again what it was for"
            )

    def uri(self, key: str) -> str:
        return f"postgresql://{self._server.where.place}/{checked(key)}"


def _deadline(timeout: float | None) -> float:
    return float("inf") if timeout is None else time.monotonic() + timeout


def _wait(link: Link, key: str, seed: int, deadline: float) -> bool:
    """Begin a transaction that holds the lock of a key; False if another one holds it until the deadline, and no transaction is begun."""
    hashed = _HASH.format(seed=seed)
    while True:
        left = min(deadline - time.monotonic(), _SLICE)
        link.run("BEGIN")
        if left <= 0:
            [[got]] = link.run(f"SELECT pg_try_advisory_xact_lock({hashed})", key=key)
            if not got:
                link.run("ROLLBACK")
            return bool(got)
        link.run(f"SET LOCAL lock_timeout = {max(int(left * 1000), 1)}")
        try:
            link.run(f"SELECT pg_advisory_xact_lock({hashed})", key=key)
            return True
        except errors() as error:
            if state_of(error) != _LOCK_TIMEOUT:
                raise
            link.run("ROLLBACK")


def _set_up(link: Link, patiently: Callable[[], Link], place: str) -> None:
    """Create missing tables. Raises ControlUnusable for those of a newer release, or if this user may create none."""
    if link.run("SELECT to_regclass('control_schema') IS NULL") == [[True]]:
        other = patiently()
        try:
            other.run("BEGIN")
            other.run(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})")  # processes that start together take turns
            if other.run("SELECT to_regclass('control_schema') IS NULL") == [[True]]:
                other.connection.execute_simple(f"{SCHEMA} INSERT INTO control_schema VALUES ({SCHEMA_VERSION})")
            other.run("COMMIT")
        except errors() as error:
            if is_lost(error):
                raise
            raise ControlUnusable(f"{place} takes no tables ({reason(error)}): start one process as a user who may create them") from None
        finally:
            other.close()
    version = link.run("SELECT max(version) FROM control_schema")[0][0]
    if version != SCHEMA_VERSION:
        raise ControlUnusable(f"{place} has control schema {version}, this release reads {SCHEMA_VERSION}: upgrade ftassets")
