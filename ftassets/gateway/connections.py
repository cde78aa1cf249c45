"""What a listener takes from slow and idle peers: time for a request's head and for reading an answer, and a number of connections.

Time for a body and the number of requests at once are in `entrance`: there a peer can be told.
"""

import asyncio
import re
import resource
import socket
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import uvicorn
from pydantic_core import to_json
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from ftassets.gateway.problems import Problem
from ftassets.wording import amount

_UPGRADE = re.compile(rb"(?:^|\r\n)upgrade:", re.IGNORECASE)
_FILES = 65_536  # open files that are asked for: each connection is one


@dataclass(frozen=True)
class Limits:
    """Seconds and numbers for the peers of one listener."""

    connections: int = 1500
    head: float = 10.0  # until a request's line and headers are there, from the connection's begin or the request's first byte
    head_bytes: int = 65_536
    write: float = 30.0  # in which a peer that owes us reading must take something
    keep_alive: int = 75  # of a connection without a request: longer than clients and proxies keep theirs, or they meet a closing one
    drain: float = 20.0  # that requests have to end when the gateway stops


class Peers:
    """The open connections of a listener. One too many takes the place of the one that has been idle longest."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._open: set[Connection] = set()
        self._idle: OrderedDict[Connection, None] = OrderedDict()

    def add(self, connection: "Connection") -> bool:
        """Whether there is room for a new connection, which is idle."""
        if len(self._open) >= self.limits.connections:
            if not self._idle:
                return False
            oldest, _ = self._idle.popitem(last=False)
            self._open.discard(oldest)
            oldest.drop()
        self._open.add(connection)
        self._idle[connection] = None
        return True

    def busy(self, connection: "Connection") -> None:
        """It has a request."""
        self._idle.pop(connection, None)

    def idle(self, connection: "Connection") -> None:
        """Its request is answered."""
        if connection in self._open:
            self._idle[connection] = None

    def remove(self, connection: "Connection") -> None:
        """It is closed."""
        self._open.discard(connection)
        self._idle.pop(connection, None)


class Connection(HttpToolsProtocol):
    """uvicorn's connection with limits; what it answers before there is a request has the form of OpenAI's errors too.

    A request that comes before the one before it is answered is left out, and the connection closed after that answer, as RFC 9112,
    9.3.2, lets a server do: while it waited, the gateway would not see that the client leaves.
    """

    def __init__(self, *arguments: Any, peers: Peers, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._peers = peers
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_body = False
        self._early = False  # whether a request came too early
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._peers.add(self):
            most = f"{self._peers.limits.connections:,}"
            return self._refuse(Problem(503, f"all {most} connections are busy: try again", "too_many_connections", retry_after=1))
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.remove(self)
        self._stop_timers()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._early:
            return
        in_body = self._in_body
        super().data_received(data if in_body else _without_upgrade(data))
        if self.transport.is_closing() or self._answering:
            return
        if self._head is None:
            self._expect_head()
        if not in_body:  # the rest of a body that was refused is read and dropped
            self._head_bytes += len(data)
        if self._head_bytes > self._peers.limits.head_bytes:
            most = amount(self._peers.limits.head_bytes, "byte")
            self._refuse(Problem(431, f"the headers have more than {most}: send fewer", "headers_too_large"))

    def on_headers_complete(self) -> None:
        if self._answering:
            self._early, self.cycle.keep_alive = True, False
            return
        self._stop_head()
        self._in_body = True
        self._peers.busy(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._early:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._early:
            return
        super().on_message_complete()
        self._in_body = False

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._answering:
            self._peers.idle(self)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(self._peers.limits.write, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        self._refuse(Problem(400, f"this is not HTTP as this server speaks it ({msg.rstrip('.')})", "invalid_http"))

    def drop(self) -> None:
        """Close the connection for another's sake."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            self.transport.close()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._head = self.loop.call_later(self._peers.limits.head, self._too_slow)

    def _too_slow(self) -> None:
        if self._head_bytes and not self.transport.is_closing():
            self._refuse(Problem(408, f"the headers were not there within {self._peers.limits.head:g} s", "request_timeout"))
        else:
            self.transport.close()

    def _refuse(self, problem: Problem) -> None:
        body = to_json(problem.body())
        headers = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close", **problem.headers}
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", body]))
        self.transport.close()

    def _stop_head(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _stop_timers(self) -> None:
        self._stop_head()
        if self._unread is not None:
            self._unread.cancel()


def _without_upgrade(data: bytes) -> bytes:
    """The begin of a request without the wish for another protocol, which a server may ignore (RFC 9110, 7.8).

    Java's own client wishes for HTTP/2 with each request; the parser would drop the body, as it would be of the other protocol.
    """
    end = data.find(b"\r\n\r\n")
    head = data if end < 0 else data[:end]
    return _UPGRADE.sub(b"\r\nx-not-upgraded:", head) + data[len(head) :] if _UPGRADE.search(head) else data


def configured(app: ASGIApp, limits: Limits, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Config:
    """A server of this app with the limits, which it shares with no other; HTTPS with a certificate chain and its key, PEM files."""
    protocol: Any = partial(Connection, peers=Peers(limits))
    return uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nothing here asks who a proxy says the client is
        timeout_keep_alive=limits.keep_alive,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        timeout_graceful_shutdown=ceil(limits.drain) + 5,  # what is cut then is written down
    )


def tell_dead_peers(sock: socket.socket, limits: Limits) -> None:
    """Let the system end connections whose peer is gone, or takes nothing of what it was sent. Connections have it of their listener."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": int(limits.write * 1000)}.items():
        if (option := getattr(socket, name, None)) is not None:  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def raise_file_limit() -> int:
    """Let this process open as many files as the system allows it; how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
    return _FILES if soft == resource.RLIM_INFINITY else soft
