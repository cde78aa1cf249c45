"""Connections to a PostgreSQL server: where its URL says it is, TLS, one more try, and what its errors mean."""

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from ftassets.errors import ConfigurationError, FtassetsError, PackageMissing, ServerUnreachable

if TYPE_CHECKING:
    from pg8000.native import Connection, PreparedStatement

CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 20.0  # the server ends a statement that takes longer
SILENCE_SECONDS = 30.0  # a server that says nothing for so long is gone
_LOST_STATES = ("08", "57P", "40")  # SQLSTATE: connection gone, server going down or coming up, rolled back for another's sake
_READ_ONLY = "25006"
_BUSY_STATES = (_READ_ONLY, "53", "57", "58")  # read-only, out of disk or memory, timeout, system error: another row fares no better

_Result = TypeVar("_Result")


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


@dataclass(frozen=True)
class Use:
    """What a database is for, the variable with its URL, and what is raised when it cannot be reached, or refuses what it is asked."""

    what: str
    variable: str
    unreachable: type[ServerUnreachable]
    unusable: type[FtassetsError]


def server(url: str, variable: str) -> Server:
    """Parts of `postgresql://user:password@host:5432/db?sslmode=...`, percent-encoded as in any URL; sslmode and sslrootcert as in libpq.

    Raises ConfigurationError, without the URL in it: it has a password.
    """
    form = f"{variable} is not a URL such as postgresql://user:password@host:5432/db?sslmode=require"
    try:
        parts = urlsplit(url)
        port = parts.port or 5432
    except ValueError:
        raise ConfigurationError(f"{form}: special characters in user and password are percent-encoded (# is %23, / is %2F)") from None
    database = unquote(parts.path[1:])
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username or not database or parts.fragment:
        raise ConfigurationError(
            f"{form}: it needs scheme, user, host and database, and special characters are percent-encoded (# is %23, / is %2F)"
        )
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    mode = options.pop("sslmode", "prefer")
    certificate = options.pop("sslrootcert", None)
    if options or mode not in ("disable", "prefer", "require", "verify-ca", "verify-full"):
        raise ConfigurationError(
            f"{variable} takes sslmode=disable, prefer, require, verify-ca or verify-full, and sslrootcert=FILE, nothing else"
        )
    password = None if parts.password is None else unquote(parts.password)
    return Server(parts.hostname, port, database, unquote(parts.username), password, mode, certificate)


class Link:
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
        """End the connection, whatever state it is in."""
        with suppress(*errors(), AttributeError):
            self.connection.close()


class _Lost(Exception):
    """The connection broke; its cause says how."""


class Connections:
    """Connections to one server, for threads and forked processes to share."""

    def __init__(self, url: str, use: Use, set_up: Callable[[Link, Callable[[], Link], str], None]) -> None:
        """`set_up` is given the first connection, what opens another one without time limits, and the server's place.

        Nothing is opened yet. Raises ConfigurationError if the URL is invalid, PackageMissing if the driver is not installed.
        """
        self.where = server(url, use.variable)
        self._use = use
        if find_spec("pg8000") is None:
            raise PackageMissing(f"{use.what} on PostgreSQL needs a driver: pip install 'ftassets[postgres]'")
        self._set_up = set_up
        self._idle: list[Link] = []
        self._pid = os.getpid()
        self._ready = False

    def do(self, work: Callable[[Link], _Result]) -> _Result:
        """The result of `work`, once more on a new connection when the first one broke. Raises what the use names."""
        try:
            return self._once(work)
        except _Lost:
            pass
        try:
            return self._once(work)
        except _Lost as error:
            raise self._unreachable(error.__cause__) from error.__cause__

    def _once(self, work: Callable[[Link], _Result]) -> _Result:
        link = self._take()
        try:
            result = work(link)
        except BaseException as error:
            link.close()
            if is_lost(error):
                self._drop_idle()  # those of a server that was restarted are all broken
                raise _Lost from error
            if state := state_of(error):
                raise self._refusal(error, state) from None  # the driver's message has the row in it, and text of users belongs in no log
            raise
        self._idle.append(link)
        return result

    def _take(self) -> Link:
        if self._pid != os.getpid():  # the parent's connections are not ours to use, nor to close politely
            self._idle, self._pid = [], os.getpid()
        with suppress(IndexError):
            return self._idle.pop()
        link = self.open(SILENCE_SECONDS)
        try:
            if not self._ready:
                self._set_up(link, lambda: self.open(None), self.where.place)
                self._ready = True
        except BaseException as error:
            link.close()
            if is_lost(error):
                raise self._unreachable(error) from error
            if state := state_of(error):
                raise self._refusal(error, state) from None
            raise
        return link

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def open(self, silence: float | None) -> Link:
        """A new connection that gives up after so many seconds without a word, None for never. Raises what the use names."""
        from pg8000.native import Connection

        where, sock = self.where, None
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
            link = Link(connection)
            # a database may be set to acknowledge before anything is on disk
            link.run("SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'")
        except errors() as error:
            if sock is not None:
                sock.close()
            raise self._unreachable(error) from error
        return link

    def _refusal(self, error: BaseException, state: str) -> FtassetsError:
        place = f"PostgreSQL at {self.where.place}"
        if state == _READ_ONLY:
            advice = f"make it writable, or let {self._use.variable} name the server that takes writes"
            return self._use.unreachable(f"{place} is read-only: {advice}")
        if state.startswith(_BUSY_STATES):
            return self._unreachable(error)
        return self._use.unusable(f"{place} refuses ({state}): {reason(error)}")

    def _unreachable(self, error: BaseException | None) -> ServerUnreachable:
        return self._use.unreachable(
            f"the server of {self._use.what} at {self.where.place} cannot be used ({reason(error)}): "
            f"see that it runs and {self._use.variable} is right"
        )


def _ssl(where: Server) -> Any:
    """What pg8000 takes: False for none, None for some if the server has it, True for some, a context for a certificate that is checked."""
    if where.sslmode in ("verify-ca", "verify-full"):
        context = ssl.create_default_context(cafile=where.sslrootcert)
        context.check_hostname = where.sslmode == "verify-full"
        return context
    return {"disable": False, "prefer": None, "require": True}[where.sslmode]


def errors() -> tuple[type[Exception], ...]:
    """What a connection raises."""
    from pg8000.exceptions import Error
    from scramp import ScramException

    return (Error, OSError, ScramException)


def is_lost(error: BaseException) -> bool:
    """Whether the connection broke, or the statement was undone for another's sake: the same may work on a new connection."""
    from pg8000.exceptions import InterfaceError

    if isinstance(error, FtassetsError):  # said by us, and an error of the system only for whoever catches those
        return False
    return isinstance(error, (InterfaceError, OSError)) or state_of(error).startswith(_LOST_STATES)


def state_of(error: BaseException) -> str:
    """SQLSTATE of an error the server reports, empty for another one."""
    from pg8000.exceptions import DatabaseError

    return error.args[0].get("C", "") if isinstance(error, DatabaseError) and isinstance(error.args[0], dict) else ""


def reason(error: BaseException | None) -> str:
    """The server's own words, or the system's."""
    said = error.args[0] if error is not None and error.args else error
    return str(said.get("M", said)) if isinstance(said, dict) else str(error)
