"""Hostile and slow peers: what they hold is bounded, they are told where they can be, and others do not notice."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.config.home import Home
from ftassets.gateway.connections import Limits, tell_dead_peers
from ftassets.gateway.sse import event
from ftassets.testing.releases import released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import LOOPS, Clock, Running

LIMITS = Limits(connections=40, head=0.6, head_bytes=10_000, write=1.0)
BODY = json.dumps({"model": "support", "messages": [{"role": "user", "content": "hello"}]}).encode()
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


@pytest.fixture
def limited(home: Home, host: ThreadHost, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A gateway with small limits and a production version."""
    monkeypatch.setattr("ftassets.gateway.problems.BODY_SECONDS", 0.6)
    clock = Clock()
    with (
        run_gateway_in_thread(home, LOOPS, host, clock, limits=LIMITS) as (serving, url),
        httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client,
    ):
        gateway = Running(home, serving, url, host, client, clock)
        gateway.start(released(home, "a"))
        yield gateway


def connect(url: str) -> socket.socket:
    where = urlsplit(url)
    return socket.create_connection((str(where.hostname), where.port or 80), timeout=10)


def rest(sock: socket.socket) -> bytes:
    """Everything until the peer closes."""
    found = b""
    try:
        while data := sock.recv(65_536):
            found += data
    except ConnectionResetError:
        pass
    return found


def dribble(sock: socket.socket, again: bytes) -> None:
    """Send a little, again and again, until the peer closes or ten seconds are over."""
    until = time.monotonic() + 10
    with suppress(OSError):
        while time.monotonic() < until:
            sock.sendall(again)
            time.sleep(0.05)


def error_in(reply: bytes) -> tuple[int, str]:
    """Status and code of an error in OpenAI's form."""
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_idle_connections_make_room_for_new_ones_and_admin_is_not_concerned(limited: Running) -> None:
    candidate = released(limited.home, "b")
    limited.start(candidate, weight=50)
    with ExitStack() as peers:
        idle = [peers.enter_context(connect(limited.url)) for _ in range(300)]
        began = time.monotonic()
        assert limited.ask().status_code == 200
        assert limited.client.get("/health").status_code == 200
        assert limited.serving.rollback("support", "test", "idle peers").candidate is None
        assert time.monotonic() - began < 3
        for sock in idle[:200]:
            assert rest(sock) == b"", "the longest idle went first"


def test_busy_connections_are_not_dropped_for_idle_ones(limited: Running) -> None:
    with connect(limited.url) as sock, ExitStack() as peers:
        body = json.dumps({"model": "support", "messages": [{"role": "user", "content": "wait 1"}]}).encode()
        sock.sendall(HEAD + f"connection: close\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        time.sleep(0.1)
        for _ in range(60):
            peers.enter_context(connect(limited.url))
        assert rest(sock).startswith(b"HTTP/1.1 200")


def test_when_all_connections_are_busy_a_new_one_is_told(limited: Running) -> None:
    content = json.dumps({"model": "support", "messages": [{"role": "user", "content": "wait 2"}]}).encode()
    with ExitStack() as peers:
        for _ in range(LIMITS.connections - 1):  # and the client's own
            sock = peers.enter_context(connect(limited.url))
            sock.sendall(HEAD + f"content-length: {len(content)}\r\n\r\n".encode() + content)
        assert limited.client.get("/health").status_code == 200
        sock = peers.enter_context(connect(limited.url))  # takes the place of the client's, which is idle
        sock.sendall(HEAD + f"content-length: {len(content)}\r\n\r\n".encode() + content)
        time.sleep(0.2)
        with connect(limited.url) as late:
            assert error_in(rest(late)) == (503, "too_many_connections")
        assert limited.serving.state("support").production, "the admin API has connections of its own"


def test_a_request_that_comes_before_the_last_one_is_answered_ends_the_connection_after_that_answer(limited: Running) -> None:
    request = HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode() + BODY
    with connect(limited.url) as sock:
        sock.sendall(request * 3)
        reply = rest(sock)
    assert reply.count(b"HTTP/1.1 200") == 1
    assert b"\r\nconnection: close\r\n" in reply
    assert len(limited.rows()) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_a_wish_for_another_protocol_is_ignored(limited: Running, apart: bool) -> None:
    wish = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"  # of each request of Java's client
    )
    with connect(limited.url) as sock:
        for _ in range(2):
            head = HEAD + wish + f"content-length: {len(BODY)}\r\n\r\n".encode()
            sock.sendall(head + (b"" if apart else BODY))
            if apart:
                time.sleep(0.1)
                sock.sendall(BODY)
            reply = b""
            while not reply.endswith(b'"total_tokens":10}}'):
                assert (data := sock.recv(65_536)), reply
                reply += data
            assert reply.startswith(b"HTTP/1.1 200")
    assert [row.prompt for row in limited.rows()] == ["hello", "hello"]


@pytest.mark.parametrize("sent", [b"", b"POST /v1/chat", HEAD, b"\r\n"])
def test_a_head_that_does_not_come_is_waited_for_only_so_long(limited: Running, sent: bytes) -> None:
    with connect(limited.url) as sock:
        sock.sendall(sent)
        began = time.monotonic()
        reply = rest(sock)
        assert LIMITS.head / 2 < time.monotonic() - began < LIMITS.head + 2
        assert not reply or error_in(reply) == (408, "request_timeout")


def test_dribbling_does_not_buy_time(limited: Running) -> None:
    for begin, again in ((HEAD, b"x: y\r\n"), (HEAD + b"content-length: 100\r\n\r\n", b" ")):
        with connect(limited.url) as sock:
            sock.sendall(begin)
            began = time.monotonic()
            dribble(sock, again)
            assert time.monotonic() - began < LIMITS.head + 3


def test_the_rest_of_a_body_that_nobody_waits_for_does_not_keep_a_connection(limited: Running) -> None:
    with connect(limited.url) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n")
        began = time.monotonic()
        dribble(sock, b" ")
        assert time.monotonic() - began < LIMITS.head + 3


def test_a_refused_body_is_read_to_its_end_and_the_connection_serves_on(limited: Running) -> None:
    for content, status in ((b"x" * 3_000_000, 413), (BODY, 200), (b" " * 3_000_000, 413), (BODY, 200)):
        reply = limited.client.post("/v1/chat/completions", content=content, headers={"content-type": "application/json"})
        assert reply.status_code == status


def test_half_sent_bodies_are_let_go_and_told(limited: Running) -> None:
    def half(_: int) -> tuple[int, str]:
        with connect(limited.url) as sock:
            sock.sendall(HEAD + b"content-length: 900000\r\n\r\n" + b"x" * 400_000)
            return error_in(rest(sock))

    with ThreadPoolExecutor(16) as peers:
        found = list(peers.map(half, range(16)))
    assert set(found) == {(408, "request_timeout")}
    assert limited.ask().status_code == 200
    assert len(limited.rows()) == 1


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"hello\r\n\r\n", (400, "invalid_http")),
        (b"GET /health HTTP/1.1\r\nhost localhost\r\n\r\n", (400, "invalid_http")),
        (HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n", (400, "invalid_http")),
        (HEAD + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", (400, "invalid_http")),
        (HEAD + b"x: " + b"y" * 20_000, (431, "headers_too_large")),
        (b"GET /" + b"y" * 20_000, (431, "headers_too_large")),
    ],
)
def test_what_is_not_http_is_answered_as_openai_s_api_words_errors(limited: Running, sent: bytes, error: tuple[int, str]) -> None:
    with connect(limited.url) as sock:
        sock.sendall(sent)
        assert error_in(rest(sock)) == error
    assert limited.ask().status_code == 200


def test_a_client_keeps_its_connection_longer_than_clients_do(limited: Running) -> None:
    with connect(limited.url) as sock:
        for _ in range(2):
            sock.sendall(HEAD + f"content-length: {len(BODY)}\r\n\r\n".encode() + BODY)
            reply = b""
            while b'"usage"' not in reply:
                assert (part := sock.recv(65_536)), "the connection is open"
                reply += part
            assert reply.startswith(b"HTTP/1.1 200")
            time.sleep(LIMITS.head + 0.5)  # the time for a head counts from its first byte


class Flood:
    """An engine that streams without end, and says how it ended."""

    def __init__(self) -> None:
        self.ended = False

    def app(self, folder: Path) -> ASGIApp:
        stub = stub_engine()(folder)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
                return await stub(scope, receive, send)
            body = json.loads((await receive())["body"])
            if not body.get("stream"):
                sent = json.dumps(body).encode()

                async def again() -> dict:
                    return {"type": "http.request", "body": sent, "more_body": False}

                return await stub(scope, again, send)
            gone = asyncio.create_task(receive())
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
            part = {"id": "e", "choices": [{"index": 0, "delta": {"content": "x" * 10_000}, "finish_reason": None}]}
            while not gone.done():
                await send({"type": "http.response.body", "body": event(json.dumps(part).encode()), "more_body": True})
                await asyncio.sleep(0)
            self.ended = True

        return app


class TestSlowReader:
    @pytest.fixture
    def engine(self) -> Flood:
        return Flood()

    @pytest.fixture
    def host(self, engine: Flood) -> Iterator[ThreadHost]:
        host = ThreadHost(engine.app)
        yield host
        host.close()

    def test_a_reader_that_takes_nothing_is_gone_and_no_fault_of_the_model(self, limited: Running, engine: Flood) -> None:
        content = json.dumps({"model": "support", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
        with connect(limited.url) as sock:
            sock.sendall(HEAD + f"content-length: {len(content)}\r\n\r\n".encode() + content)
            until = time.monotonic() + 15
            while not limited.rows() and time.monotonic() < until:
                time.sleep(0.05)
            [row] = limited.rows()
            assert row.status == 499
            until = time.monotonic() + 5
            while not engine.ended and time.monotonic() < until:
                time.sleep(0.02)
            assert engine.ended, "the engine is let go"


def test_a_peer_that_takes_nothing_is_ended_by_the_system_where_it_can() -> None:
    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("only Linux")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tell_dead_peers(listener, LIMITS)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
