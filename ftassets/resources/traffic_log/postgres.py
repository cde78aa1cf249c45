"""The traffic log in a PostgreSQL database, shared by machines."""

import json
import os
import re
import socket
import ssl
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from ftassets.resources.traffic_log.base import (
    Exchange,
    Feedback,
    LogUnreachable,
    Reviewed,
    StillReadable,
    TrafficLog,
    UnknownAnswer,
    storable,
)

if TYPE_CHECKING:
    from pg8000.native import Connection, PreparedStatement

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 20.0  # the server ends a statement that takes longer
SILENCE_SECONDS = 30.0  # a server that says nothing for so long is gone
LOCK_SECONDS = 30.0  # how long wiping waits for others that use the tables
PAGE = 1000  # rows a statement reads at most, so that none takes long however wide the window
SCHEMA_VERSION = 1
_TYPES = {str: "text", int: "bigint", float: "double precision", float | None: "double precision", int | None: "bigint", str | None: "text"}
_COLUMNS = [f'"{column.name}"' for column in fields(Exchange)]
_TYPED = ", ".join(f'"{column.name}" {_TYPES[column.type]}' for column in fields(Exchange))  # type: ignore[index]
SCHEMA = """
CREATE TABLE traffic_exchange (
    number bigint GENERATED ALWAYS AS IDENTITY, id text PRIMARY KEY, loop text NOT NULL, version text NOT NULL, "user" text NOT NULL,
    prompt text NOT NULL, messages text NOT NULL, answer text NOT NULL, status bigint NOT NULL, at double precision NOT NULL,
    latency_ms double precision NOT NULL, first_token_ms double precision, tokens_in bigint, tokens_out bigint,
    share double precision NOT NULL, error text
);
CREATE INDEX traffic_exchange_by_time ON traffic_exchange (loop, at, number);
CREATE TABLE traffic_feedback (
    number bigint GENERATED ALWAYS AS IDENTITY, id uuid PRIMARY KEY,
    request_id text NOT NULL REFERENCES traffic_exchange (id) ON DELETE CASCADE,
    at double precision NOT NULL, rating text, correction text
);
CREATE INDEX traffic_feedback_by_request ON traffic_feedback (request_id, at, number);
CREATE TABLE traffic_forgotten (id text PRIMARY KEY);
CREATE TABLE traffic_schema (version bigint NOT NULL);
"""
_SETUP_LOCK = 0x66746173  # any number, the same for all who create the tables
_APPEND = f"""
WITH stored AS (
    INSERT INTO traffic_exchange ({", ".join(_COLUMNS)})
    SELECT {", ".join(f"r.{column}" for column in _COLUMNS)}
    FROM ROWS FROM (json_to_recordset(CAST(:rows AS json)) AS ({_TYPED})) WITH ORDINALITY AS r ({", ".join(_COLUMNS)}, place)
    WHERE NOT EXISTS (SELECT 1 FROM traffic_forgotten f WHERE f.id = r.id)
    ORDER BY place
    ON CONFLICT (id) DO NOTHING
    RETURNING 1
)
SELECT count(*) FROM stored"""
# the lock on the exchange's row makes a concurrent `forget` wait, or this statement find that the row is gone
_ADD_FEEDBACK = """
WITH known AS (SELECT id FROM traffic_exchange WHERE id = :request_id FOR KEY SHARE),
stored AS (
    INSERT INTO traffic_feedback (id, request_id, at, rating, correction)
    SELECT CAST(:id AS uuid), id, CAST(:at AS double precision), CAST(:rating AS text), CAST(:correction AS text) FROM known
    ON CONFLICT (id) DO NOTHING
)
SELECT count(*) FROM known"""
_SELECTED = ", ".join(f"e.{column}" for column in _COLUMNS)
_WINDOW = """
WHERE e.loop = :loop AND (e.at, e.number) > (CAST(:at AS double precision), CAST(:number AS bigint))
AND e.at < CAST(:until AS double precision)
ORDER BY e.at, e.number LIMIT CAST(:size AS bigint)"""
_EXCHANGES = f"SELECT e.at, e.number, {_SELECTED} FROM traffic_exchange e {_WINDOW}"
_REVIEWED = f"""
SELECT e.at, e.number, {_SELECTED}, f.request_id, f.at, f.rating, f.correction FROM traffic_exchange e JOIN LATERAL (
    SELECT * FROM traffic_feedback WHERE request_id = e.id ORDER BY at DESC, number DESC LIMIT 1
) f ON true {_WINDOW}"""
_TO_FORGET = """
SELECT id FROM traffic_exchange WHERE "user" = :user AND loop = coalesce(CAST(:loop AS text), loop)
UNION
SELECT named.id FROM json_array_elements_text(CAST(:names AS json)) AS named (id) LEFT JOIN traffic_exchange e ON e.id = named.id
WHERE e.id IS NULL OR e.loop = coalesce(CAST(:loop AS text), e.loop)"""
_NAMED = "(SELECT json_array_elements_text(CAST(:names AS json)))"
_AGAIN = "forget them once more, when the server has room for a second copy of the log and nobody reads from it for long"
_LOST_STATES = ("08", "57P", "40")  # SQLSTATE: connection gone, server going down or coming up, rolled back for another's sake
_BUSY_STATES = ("25006", "53", "57", "58")  # read-only, out of disk or memory, timeout, system error: another row fares no better
_ESCAPES = {0: "\x010", 1: "\x011"}

_Result = TypeVar("_Result")


class PostgresTrafficLog(TrafficLog):
    """Rows outlive a kill of any process and, unless the server's fsync is off, a power cut.

    Threads and forked processes may share one; each call takes a connection of a pool, or opens one. A call whose connection
    breaks is done again once on a new one, which is safe: every write is known by its id. `append` then counts as new only what
    the second attempt stored.
    """

    def __init__(self, url: str) -> None:
        """`url` as in FTASSETS_TRAFFIC_URL. Raises ValueError: it is none, the driver is not installed. Nothing is opened yet."""
        self._server = server(url)
        if find_spec("pg8000") is None:
            raise ValueError("the traffic log on PostgreSQL needs a driver: pip install 'ftassets[postgres]'")
        self._idle: list[_Link] = []
        self._pid = os.getpid()
        self._ready = False

    def check(self) -> str:
        [[version, fsync]] = self._do(lambda link: link.run("SELECT current_setting('server_version'), current_setting('fsync')"))
        return f"PostgreSQL {version} at {self._server.place}" + ("" if fsync == "on" else ", fsync is off: a power cut may lose rows")

    def append(self, exchanges: Sequence[Exchange]) -> int:
        if not exchanges:
            return 0
        rows = _to_json([{name: _escaped(value) for name, value in asdict(exchange).items()} for exchange in exchanges])
        return self._do(lambda link: link.run(_APPEND, rows=rows))[0][0]

    def add_feedback(self, feedback: Feedback) -> None:
        row = {name: _escaped(value) for name, value in asdict(feedback).items()} | {"id": str(uuid.uuid4())}
        if self._do(lambda link: link.run(_ADD_FEEDBACK, **row)) == [[0]]:
            raise UnknownAnswer(f"there is no answer {feedback.request_id!r} in the log")

    def exchanges(self, loop: str, since: float = 0.0, until: float = float("inf"), limit: int | None = None) -> list[Exchange]:
        return [Exchange(*row) for row in self._window(_EXCHANGES, loop, since, until, limit)]

    def reviewed(self, loop: str, since: float = 0.0) -> list[Reviewed]:
        width = len(_COLUMNS)
        rows = self._window(_REVIEWED, loop, since, float("inf"), None)
        return [Reviewed(Exchange(*row[:width]), Feedback(*row[width:])) for row in rows]

    def count(self, loop: str, since: float = 0.0) -> int:
        query = "SELECT count(*) FROM traffic_exchange WHERE loop = :loop AND at >= CAST(:since AS double precision)"
        return self._do(lambda link: link.run(query, loop=_escaped(loop), since=since))[0][0]

    def forget(self, loop: str | None = None, user: str | None = None, request_ids: Sequence[str] = ()) -> list[str]:
        if user is None and not request_ids:
            raise ValueError("nothing to forget: give a user or request ids")
        names = _to_json([_escaped(name) for name in request_ids])
        found: set[str] = set()  # by all attempts: when only the answer to a commit was lost, the next one finds the user's rows gone

        def delete(link: _Link) -> None:
            link.run("BEGIN")
            # what is found must be what is deleted, and an append on its way must see what is forgotten
            link.run("LOCK TABLE traffic_exchange IN SHARE ROW EXCLUSIVE MODE")
            ids = [row[0] for row in link.run(_TO_FORGET, user=_escaped(user), loop=_escaped(loop), names=names)]
            link.run(f"DELETE FROM traffic_exchange WHERE id IN {_NAMED}", names=_to_json(ids))
            link.run(f"INSERT INTO traffic_forgotten (id) {_NAMED} ON CONFLICT DO NOTHING", names=_to_json(ids))
            found.update(ids)
            link.run("COMMIT")

        self._do(delete)
        self._wipe()
        return sorted(_unescaped(name) for name in found)

    def forgotten(self) -> set[str]:
        return {_unescaped(row[0]) for row in self._do(lambda link: link.run("SELECT id FROM traffic_forgotten"))}

    def _window(self, query: str, loop: str, since: float, until: float, limit: int | None) -> list[list[Any]]:
        """Rows of a window in the order of time, page by page."""
        rows: list[list[Any]] = []
        at, number = since, 0  # numbers begin at 1
        while True:
            size = PAGE if limit is None else min(PAGE, limit - len(rows))
            where = {"loop": _escaped(loop), "at": at, "number": number, "until": until, "size": size}
            page = self._do(lambda link, where=where: link.run(query, **where))  # type: ignore[misc]
            rows += [[_unescaped(value) for value in row[2:]] for row in page]
            if len(page) < PAGE:
                return rows
            at, number = page[-1][:2]

    def _wipe(self) -> None:
        """Leave no copy of deleted rows in the tables' files: they are written anew, while everybody else waits."""
        left = f"the rows are deleted from {self._server.place}, but their text is still in its files"
        link = None
        expected: tuple[type[Exception], ...] = (LogUnreachable, *_errors())
        try:
            link = self._open(None)  # the server may be silent for long
            link.run("SET statement_timeout = 0")
            link.run(f"SET lock_timeout = {LOCK_SECONDS * 1000:.0f}")
            for table in ("traffic_exchange", "traffic_feedback"):
                link.connection.notices.clear()
                link.connection.execute_simple(f"VACUUM (FULL, VERBOSE) {table}")
                # what an older snapshot may still see is copied too, and a table of another owner is left alone: only the notices say so
                details = (notice.get(b"D", b"") for notice in link.connection.notices)
                kept = [int(found[0]) for detail in details if (found := re.search(rb"\d+", detail))]
                if kept != [0]:
                    why = "a long transaction may still read them" if kept else f"{self._server.user} does not own {table}"
                    raise StillReadable(f"{left} ({why}): {_AGAIN}")
        except expected as error:
            raise StillReadable(f"{left} ({_reason(error)}): {_AGAIN}") from error
        finally:
            if link is not None:
                link.close()

    def _do(self, work: "Callable[[_Link], _Result]") -> _Result:
        """The result of `work`, once more on a new connection when the first one broke. Raises LogUnreachable."""
        try:
            return self._once(work)
        except _Lost:
            pass
        try:
            return self._once(work)
        except _Lost as error:
            raise self._unreachable(error.__cause__) from error.__cause__

    def _once(self, work: "Callable[[_Link], _Result]") -> _Result:
        link = self._take()
        try:
            result = work(link)
        except BaseException as error:
            link.close()
            if _is_lost(error):
                self._drop_idle()  # those of a server that was restarted are all broken
                raise _Lost from error
            if state := _state(error):
                # the driver's message has the row in it, and text of users belongs in no log
                if state.startswith(_BUSY_STATES):
                    raise self._unreachable(error) from None
                raise RuntimeError(f"PostgreSQL at {self._server.place} refuses ({state}): {_reason(error)}") from None
            raise
        self._idle.append(link)
        return result

    def _take(self) -> "_Link":
        if self._pid != os.getpid():  # the parent's connections are not ours to use, nor to close politely
            self._idle, self._pid = [], os.getpid()
        with suppress(IndexError):
            return self._idle.pop()
        link = self._open(SILENCE_SECONDS)
        try:
            if not self._ready:
                self._set_up(link)
                self._ready = True
        except BaseException as error:
            link.close()
            if _is_lost(error):
                raise self._unreachable(error) from error
            raise
        return link

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _open(self, silence: float | None) -> "_Link":
        """A new connection that gives up after so many seconds without a word, None for never. Raises LogUnreachable."""
        from pg8000.native import Connection

        where, sock = self._server, None
        try:
            sock = socket.create_connection((where.host, where.port), CONNECT_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or the end of a long statement waits for an acknowledgement
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.settimeout(silence)
            connection = Connection(
                where.user,
                where.host,
                where.database,
                where.port,
                where.password or "",  # a server that wants one refuses this; the driver breaks without any
                ssl_context=_ssl(where),
                application_name="ftassets",
                startup_params={"statement_timeout": f"{STATEMENT_SECONDS * 1000:.0f}"},
                sock=sock,
            )
            link = _Link(connection)
            # a database may be set to acknowledge before anything is on disk
            link.run("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
        except _errors() as error:
            if sock is not None:
                sock.close()
            raise self._unreachable(error) from error
        return link

    def _set_up(self, link: "_Link") -> None:
        """Create the tables when there are none. Raises RuntimeError for those of another release, or a database that is not UTF-8."""
        [[encoding]] = link.run("SELECT current_setting('server_encoding')")
        if encoding != "UTF8":
            raise RuntimeError(f"{self._server.place} stores {encoding}, which not every text fits: CREATE DATABASE ... ENCODING 'UTF8'")
        link.run("BEGIN")
        link.run(f"SELECT pg_advisory_xact_lock({_SETUP_LOCK})")  # processes that start together take turns
        if link.run("SELECT to_regclass('traffic_schema') IS NULL") == [[True]]:
            link.connection.execute_simple(f"{SCHEMA} INSERT INTO traffic_schema VALUES ({SCHEMA_VERSION})")
        [[version]] = link.run("SELECT max(version) FROM traffic_schema")
        link.run("COMMIT")
        if version != SCHEMA_VERSION:
            raise RuntimeError(
                f"{self._server.place} has traffic schema {version}, this release reads {SCHEMA_VERSION}: upgrade, or take another database"
            )

    def _unreachable(self, error: BaseException | None) -> LogUnreachable:
        return LogUnreachable(
            f"the traffic log's server {self._server.place} cannot be used ({_reason(error)}): "
            "see that it runs and FTASSETS_TRAFFIC_URL is right"
        )


class _Lost(Exception):
    """The connection broke; its cause says how."""


class _Link:
    """A connection with the statements prepared on it: one exchange with the server a call instead of three."""

    def __init__(self, connection: "Connection") -> None:
        self.connection = connection
        self._prepared: dict[str, PreparedStatement] = {}

    def run(self, statement: str, **params: Any) -> list[list[Any]]:
        """The rows of a fixed statement."""
        if not params:
            return self.connection.execute_simple(statement).rows or []
        if statement not in self._prepared:
            self._prepared[statement] = self.connection.prepare(statement)
        return self._prepared[statement].run(**params) or []

    def close(self) -> None:
        with suppress(*_errors(), AttributeError):  # it may be closed or broken
            self.connection.close()


@dataclass(frozen=True)
class Server:
    """Where a PostgreSQL database is, as its URL names it."""

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(repr=False)
    sslmode: str
    sslrootcert: str | None

    @property
    def place(self) -> str:
        """For messages."""
        return f"{self.host}:{self.port}/{self.database}"


def server(url: str) -> Server:
    """Parts of `postgresql://user:password@host:5432/db?sslmode=...`, percent-encoded as in any URL; sslmode and sslrootcert as in libpq.

    Raises ValueError, without the URL in it: it has a password.
    """
    form = "FTASSETS_TRAFFIC_URL is not a URL such as postgresql://user:password@host:5432/db?sslmode=require"
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise ValueError(f"{form}: special characters in user and password are percent-encoded (# is %23, / is %2F)") from None
    database = unquote(parts.path[1:])
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username or not database or parts.fragment:
        raise ValueError(
            f"{form}: it needs scheme, user, host and database, and special characters are percent-encoded (# is %23, / is %2F)"
        )
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = options.pop("sslmode", "prefer")
    certificate = options.pop("sslrootcert", None)
    if options or mode not in ("disable", "prefer", "require", "verify-ca", "verify-full"):
        raise ValueError(
            "FTASSETS_TRAFFIC_URL takes sslmode=disable, prefer, require, verify-ca or verify-full, and sslrootcert=FILE, nothing else"
        )
    password = None if parts.password is None else unquote(parts.password)
    return Server(parts.hostname, port, database, unquote(parts.username), password, mode, certificate)


def _ssl(where: Server) -> Any:
    """What pg8000 takes: False for none, None for some if the server has it, True for some, a context for a certificate that is checked."""
    if where.sslmode in ("verify-ca", "verify-full"):
        context = ssl.create_default_context(cafile=where.sslrootcert)
        context.check_hostname = where.sslmode == "verify-full"
        return context
    return {"disable": False, "prefer": None, "require": True}[where.sslmode]


def _errors() -> tuple[type[Exception], ...]:
    """What a connection raises."""
    from pg8000.exceptions import Error
    from scramp import ScramException

    return (Error, OSError, ScramException)


def _is_lost(error: BaseException) -> bool:
    from pg8000.exceptions import InterfaceError

    return isinstance(error, (InterfaceError, OSError)) or _state(error).startswith(_LOST_STATES)


def _state(error: BaseException) -> str:
    """SQLSTATE of an error the server reports, empty for another one."""
    from pg8000.exceptions import DatabaseError

    return error.args[0].get("C", "") if isinstance(error, DatabaseError) and isinstance(error.args[0], dict) else ""


def _reason(error: BaseException | None) -> str:
    """The server's own words, or the system's."""
    said = error.args[0] if error is not None and error.args else error
    return str(said.get("M", said)) if isinstance(said, dict) else str(error)


def _to_json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _escaped(value: Any) -> Any:
    """PostgreSQL's text holds every character but NUL, so that and the character that stands for it are written as two."""
    return storable(value).translate(_ESCAPES) if isinstance(value, str) else value  # type: ignore[attr-defined]


def _unescaped(value: Any) -> Any:
    """What `_escaped` was given."""
    return value.replace("\x010", "\x00").replace("\x011", "\x01") if isinstance(value, str) and "\x01" in value else value
