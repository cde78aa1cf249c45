"""Clients of a chat API that cost little themselves: each has one connection, and asks one question after the other."""

import asyncio
import json
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True)
class Reply:
    """Status, and milliseconds to the first byte of the body and to its end; status 0 for a connection that broke."""

    status: int
    first_ms: float
    whole_ms: float


class Client(asyncio.Protocol):
    """One connection."""

    closed = False

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has no subclass of it
        self._parser = httptools.HttpResponseParser(self)

    def ask(self, request: bytes) -> Awaitable[Reply]:
        """Send a request; its reply."""
        self._waiting = asyncio.get_running_loop().create_future()
        self._first: float | None = None
        self._sent = time.perf_counter()
        self._transport.write(request)
        return self._waiting

    def leave(self) -> None:
        """Close the connection, whatever is under way."""
        self._waiting = None
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self._first is None:
            self._first = time.perf_counter()

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._end(Reply(self._parser.get_status_code(), ((self._first or now) - self._sent) * 1000, (now - self._sent) * 1000))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._end(Reply(0, 0.0, 0.0))

    def _end(self, reply: Reply) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(reply)


async def connected(url: str) -> Client:
    """A client of a server."""
    parts = urlsplit(url)
    _, client = await asyncio.get_running_loop().create_connection(Client, parts.hostname or "", parts.port or 80)
    return client


def request(url: str, model: str, user: str, text: str = "turn on the light in the kitchen, please", stream: bool = False) -> bytes:
    """A chat request as bytes."""
    document = {"model": model, "messages": [{"role": "user", "content": text}], "user": user, **({"stream": True} if stream else {})}
    body = json.dumps(document).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def steady(url: str, requests: Sequence[bytes], seconds: float) -> list[Reply]:
    """A client for each request, which it sends again as soon as it has its answer, for so long."""
    until = time.perf_counter() + seconds

    async def ask(sent: bytes) -> list[Reply]:
        client, replies = await connected(url), list[Reply]()
        while time.perf_counter() < until:
            replies.append(await client.ask(sent))
            if not replies[-1].status:
                break
        client.leave()
        return replies

    return [reply for replies in await asyncio.gather(*map(ask, requests)) for reply in replies]


async def paced(url: str, requests: Sequence[bytes], rate: float, seconds: float) -> list[Reply]:
    """Requests at so many a second, whether the ones before are answered or not: a wait counts for all that come meanwhile."""
    free, replies, tasks = list[Client](), list[Reply](), set[asyncio.Task[None]]()

    async def ask(sent: bytes) -> None:
        while free and free[-1].closed:  # a server closes those that are idle
            free.pop()
        client = free.pop() if free else await connected(url)
        reply = await client.ask(sent)
        replies.append(reply)
        if reply.status:
            free.append(client)

    began = time.perf_counter()
    for number in range(round(rate * seconds)):
        if (early := began + number / rate - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        task = asyncio.create_task(ask(requests[number % len(requests)]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    for client in free:
        client.leave()
    return replies
