"""Clients that leave: the engine stops, the row says 499, nothing is left behind; and those that ask again."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ftassets.gateway.client_watch import ClientGone, ClientWatch
from ftassets.gateway.sse import event
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.conftest import Running

CHUNK = {"id": "e", "object": "chat.completion.chunk", "created": 1, "model": "merged"}


class Engine:
    """Answers `hang` and `flow` until whoever asked has left, and everything else as the stub does."""

    def __init__(self) -> None:
        self.begun, self.left = threading.Semaphore(0), threading.Semaphore(0)
        self.asked: list[str] = []

    def app(self, folder: Path) -> ASGIApp:
        stub = stub_engine()(folder)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] != "/v1/chat/completions":
                return await stub(scope, receive, send)
            message = await receive()
            body = message["body"]
            while message.get("more_body"):
                message = await receive()
                body += message["body"]
            prompt = json.loads(body)["messages"][-1]["content"]
            self.asked.append(prompt)
            if not prompt.startswith(("hang", "flow")):
                sent: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

                async def again() -> Message:
                    return next(sent, None) or await receive()

                return await stub(scope, again, send)
            gone = asyncio.create_task(receive())
            self.begun.release()
            if prompt.startswith("flow"):
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
                part = {**CHUNK, "choices": [{"index": 0, "delta": {"content": "a "}, "finish_reason": None}]}
                while not gone.done():
                    await send({"type": "http.response.body", "body": event(json.dumps(part).encode()), "more_body": True})
                    await asyncio.sleep(0.02)
            await gone
            self.left.release()

        return app


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def host(engine: Engine) -> Iterator[ThreadHost]:
    host = ThreadHost(engine.app)
    yield host
    host.close()


def leave(gateway: Running, body: dict, when: Callable[[socket.socket], object]) -> None:
    """Send a request from a socket, and close it after `when`."""
    content = json.dumps({"model": "support", **body}).encode()
    where = urlsplit(gateway.url)
    with socket.create_connection((str(where.hostname), where.port or 80), timeout=10) as sock:
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        sock.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        when(sock)


def rows_of(gateway: Running, number: int) -> list[int]:
    """Statuses on record, once there are so many."""
    until = time.monotonic() + 10
    while len(gateway.rows()) < number and time.monotonic() < until:
        time.sleep(0.02)
    return [row.status for row in gateway.rows()]


@pytest.mark.parametrize(("prompt", "stream"), [("hang", False), ("hang", True), ("flow", True)])
def test_a_client_that_leaves_ends_the_engine_s_work_and_is_on_record_as_gone(serving_a: Running, engine: Engine, prompt, stream) -> None:
    messages = [{"role": "user", "content": prompt}]

    def wait(sock: socket.socket) -> None:
        assert engine.begun.acquire(timeout=10)
        if prompt == "flow":
            assert b"200 OK" in sock.recv(1000)

    leave(serving_a, {"messages": messages, "stream": stream}, wait)
    assert engine.left.acquire(timeout=5), "the engine is told that nobody waits"
    assert rows_of(serving_a, 1) == [499]
    assert serving_a.rows()[0].error == "the client went away before the last byte"
    assert serving_a.ask("hello").status_code == 200
    metrics = serving_a.client.get("/metrics").text
    assert 'status="499"' in metrics


def test_a_client_that_sent_more_requests_at_once_and_leaves_ends_the_engine_s_work_too(serving_a: Running, engine: Engine) -> None:
    content = json.dumps({"model": "support", "messages": [{"role": "user", "content": "hello"}]}).encode()
    early = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    def wait(sock: socket.socket) -> None:
        sock.sendall((early % len(content) + content) * 3)
        assert engine.begun.acquire(timeout=10)

    leave(serving_a, {"messages": [{"role": "user", "content": "hang"}]}, wait)
    assert engine.left.acquire(timeout=5), "the engine is told that nobody waits"
    assert rows_of(serving_a, 1) == [499]
    assert [prompt for prompt in engine.asked if prompt != "ready?"] == ["hang"]


def test_many_clients_that_leave_at_any_moment_leave_nothing_behind(serving_a: Running, engine: Engine, caplog) -> None:
    def one(number: int) -> None:
        body = {"messages": [{"role": "user", "content": f"{'hang' if number % 2 else 'flow'} {number}"}], "stream": not number % 2}
        leave(serving_a, body, lambda _: time.sleep(number % 5 * 0.02))

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(one, range(100)))
    begun = len([prompt for prompt in engine.asked if prompt != "ready?"])
    for _ in range(begun):
        assert engine.left.acquire(timeout=10)
    assert set(rows_of(serving_a, begun)) == {499}
    assert serving_a.ask("hello", stream=True).text.endswith("data: [DONE]\n\n")
    assert "Traceback" not in caplog.text


def test_a_client_that_leaves_while_it_sends_is_no_error_of_ours(serving_a: Running, caplog) -> None:
    where = urlsplit(serving_a.url)
    with socket.create_connection((str(where.hostname), where.port or 80)) as sock:
        sock.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\nabc"
        )
        time.sleep(0.1)
    assert serving_a.ask("hello").status_code == 200
    time.sleep(0.2)
    assert caplog.text == ""


def test_a_retry_with_the_same_key_is_answered_once(serving_a: Running, engine: Engine) -> None:
    def ask(prompt: str, key: str, user: str = "anna", **fields: object) -> httpx.Response:
        body = {"model": "support", "user": user, "messages": [{"role": "user", "content": prompt}], **fields}
        return serving_a.client.post("/v1/chat/completions", json=body, headers={"idempotency-key": key, "x-client-request-id": "r-1"})

    for stream in (False, True):
        with ThreadPoolExecutor(4) as clients:
            replies = list(clients.map(lambda _: ask("wait 0.3", f"k{stream}", stream=stream), range(4)))  # noqa: B023
        assert {reply.text for reply in replies} == {replies[0].text}
        assert {reply.headers["x-client-request-id"] for reply in replies} == {"r-1"}
        assert {reply.headers["content-type"] for reply in replies} == {replies[0].headers["content-type"]}
        assert sorted(reply.headers.get("idempotent-replayed", "no") for reply in replies) == ["no", "true", "true", "true"]
    assert len(serving_a.rows()) == 2
    assert engine.asked.count("wait 0.3") == 2
    other = ask("something else", "kFalse")
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert ask("wait 0.3", "kFalse", user="ben").headers.get("idempotent-replayed") is None, "another user's key is another key"
    for _ in range(2):  # an error is not kept
        assert ask("fail", "k3").status_code == 502
    assert [row.status for row in serving_a.rows()][-2:] == [502, 502]
    assert ask("x", "k" * 256).status_code == 400


def test_the_retry_of_a_client_that_left_is_a_request_of_its_own(serving_a: Running, engine: Engine) -> None:
    client = httpx.Client(base_url=serving_a.url, timeout=0.5, trust_env=False)
    body = {"model": "support", "user": "anna", "messages": [{"role": "user", "content": "hang"}]}
    for number in (1, 2):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/chat/completions", json=body, headers={"idempotency-key": "k"})
        assert rows_of(serving_a, number) == [499] * number
    client.close()


def test_the_openai_client_s_key_is_honoured(serving_a: Running) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{serving_a.url}/v1", api_key="none", default_headers={"Idempotency-Key": "once"})
    first, second = (
        client.chat.completions.create(model="support", messages=[{"role": "user", "content": "hello"}], user="anna") for _ in range(2)
    )
    assert first == second
    assert len(serving_a.rows()) == 1


def test_a_watch_lets_other_cancellations_and_errors_through() -> None:
    async def never() -> dict:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def gone() -> dict:
        return {"type": "http.disconnect"}

    async def run() -> None:
        async with ClientWatch(never):
            await asyncio.sleep(0)
        with pytest.raises(KeyError, match="mine"):
            async with ClientWatch(never):
                raise KeyError("mine")
        with pytest.raises(ClientGone, match="went away"):
            async with ClientWatch(gone):
                await asyncio.sleep(5)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), ClientWatch(never):
                await asyncio.sleep(5)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
