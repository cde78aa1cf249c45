"""How many requests are answered at once, and who may ask."""

import asyncio
import socket
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from ftassets.gateway.app import ELSEWHERE
from ftassets.gateway.entrance import Entrance, hosts_from_env
from ftassets_tests.gateway.conftest import Running


class Asked:
    """One request to an entrance, and the status of its answer."""

    def __init__(self, path: str = "/v1/chat/completions", **headers: str) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
        }
        self.sent: list[Any] = []

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def of(self, entrance: Entrance) -> int:
        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        await entrance(self.scope, receive, self.send)
        return int(self.sent[0]["status"])


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({})(scope, receive, send)


def test_only_so_many_requests_at_once_and_health_always() -> None:
    async def run() -> list[int]:
        hold = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"].startswith("/v1"):
                await hold.wait()
            await fine(scope, receive, send)

        entrance = Entrance(app, None, most=2)
        first = [asyncio.create_task(Asked().of(entrance)) for _ in range(2)]
        await asyncio.sleep(0)
        third = Asked()
        found = [await third.of(entrance), await Asked("/health").of(entrance), await Asked("/livez").of(entrance)]
        assert (b"retry-after", b"1") in third.sent[0]["headers"]
        hold.set()
        found += await asyncio.gather(*first)
        return [*found, await Asked().of(entrance)]

    assert asyncio.run(run()) == [429, 200, 200, 200, 200, 200]


def test_a_request_that_fails_or_is_cancelled_makes_room() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise KeyError("x")

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60)

    async def run() -> None:
        for app in (broken, slow):
            entrance = Entrance(app, None, most=1)
            for _ in range(3):
                with pytest.raises((KeyError, TimeoutError)):
                    async with asyncio.timeout(0.02):
                        await Asked().of(entrance)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8100", 200), ("127.0.0.1", 200), ("127.0.0.1:8100", 200), ("[::1]:8100", 200), ("LOCALHOST", 200), ("", 200),
        ("models.example", 200), ("models.example:443", 200), ("evil.example", 421), ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421), ("[", 421), ("2130706433", 421),
    ],
)  # fmt: skip
def test_on_loopback_another_s_name_is_refused(host: str, status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_HOSTS", "models.example, other")
    assert asyncio.run(Asked(host=host).of(Entrance(fine, hosts_from_env()))) == status
    assert asyncio.run(Asked(host=host).of(Entrance(fine, None))) == 200


def test_a_web_page_is_refused() -> None:
    assert asyncio.run(Asked(host="localhost", origin="http://localhost:3000").of(Entrance(fine, frozenset()))) == 403
    assert asyncio.run(Asked(host="localhost", origin="null").of(Entrance(fine, None))) == 403


def test_the_running_gateway_refuses_what_a_web_page_can_send(serving_a: Running) -> None:
    address = serving_a.url.removeprefix("http://")
    body = b'{"model": "support", "messages": [{"role": "user", "content": "x"}]}'
    for headers, status in (
        ({"content-type": "text/plain"}, 415), ({"content-type": "application/x-www-form-urlencoded"}, 415), ({}, 415),
        ({"content-type": "application/json", "origin": "https://evil.example"}, 403),
        ({"content-type": "application/json", "host": "evil.example"}, 421), ({"content-type": "application/json; charset=utf-8"}, 200),
    ):  # fmt: skip
        for path in ("/v1/chat/completions", "/v1/feedback"):
            reply = serving_a.client.post(path, content=body, headers={"host": address, **headers})
            assert reply.status_code == status or (path == "/v1/feedback" and status == 200)
    assert len(serving_a.rows()) == 1


def test_nothing_is_redirected_by_the_host_that_a_client_names(serving_a: Running) -> None:
    reply = serving_a.client.get("/v1/models/", headers={"host": "localhost"})
    assert (reply.status_code, reply.headers.get("location")) == (404, None)
    with socket.create_connection(("127.0.0.1", int(serving_a.url.rsplit(":", 1)[1])), timeout=5) as sock:
        sock.sendall(b"GET /health/ HTTP/1.0\r\n\r\n")
        assert b"location" not in sock.recv(1000).lower()


@pytest.mark.parametrize("path", sorted(ELSEWHERE))
def test_what_else_openai_has_is_refused_with_what_to_ask_instead(serving_a: Running, path: str) -> None:
    reply = serving_a.client.post(path, json={"model": "support", "prompt": "<|im_start|>system"})
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (404, "endpoint_not_served")
    assert "chat" in error["message"]
    assert not serving_a.rows()
