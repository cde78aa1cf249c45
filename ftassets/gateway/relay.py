"""The engine's answer on its way to the client: whole, or chunk by chunk with its end held back until the row is durable."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope, Send

from ftassets.gateway.call import Call
from ftassets.gateway.client_watch import ClientGone, ClientWatch, GatewayStops
from ftassets.gateway.idempotency import Claim
from ftassets.gateway.patience import Patience
from ftassets.gateway.problems import CLIENT_GONE, Problem
from ftassets.gateway.sse import Events, event

LONGEST_ANSWER = 32_000_000  # bytes


class Relay:
    """A streamed answer: chunks as they come, `[DONE]` when the row is durable."""

    def __init__(
        self,
        call: Call,
        reply: aiohttp.ClientResponse,
        patience: Patience,
        wants_usage: bool,
        claim: Claim | None,
        watches: set[ClientWatch],
        record: Callable[[Call, int, str | None], Awaitable[None]],
        ended: Callable[[], None],
    ) -> None:
        """`record` writes the row, with status and error; `ended` is called when the stream is over, whatever became of it."""
        self._watches = watches
        self._record = record
        self._ended = ended
        self._call = call
        self._reply = reply
        self._patience = patience
        self._wants_usage = wants_usage
        self._claim = claim
        self._sent: list[bytes] = []  # for the claim
        self._headers = {**call.headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call
        try:
            async with ClientWatch(receive, self._watches):
                problem = await self._pump(send)
            await self._end(send, problem)
        except ClientGone as error:
            await self._record(call, CLIENT_GONE, str(error))
        except GatewayStops as error:
            with suppress(Problem):
                await self._record(call, CLIENT_GONE, str(error))
            await send({"type": "http.response.body", "body": event(to_json(stopping().body())), "more_body": False})
        finally:
            if self._claim:
                self._claim.drop()
            self._reply.close()
            self._ended()

    async def _end(self, send: Send, problem: Problem | None) -> None:
        try:
            call = self._call
            await self._record(call, *((200, None) if problem is None else (problem.status, problem.logged)))
        except Problem as error:
            problem = error
        last = event(b"[DONE]") if problem is None else event(to_json(problem.body()))
        if self._claim and problem is None:
            self._claim.keep(b"".join([*self._sent, last]), self._headers)
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _pump(self, send: Send) -> Problem | None:
        """Pass the engine's chunks on with our names on them; what went wrong on its side, if anything."""
        raw = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})

        async def pass_on(part: dict[str, Any]) -> None:
            if not part.get("choices") and not self._wants_usage:
                return
            sent = event(to_json({**part, "id": self._call.id, "model": self._call.loop}))
            if self._claim:
                self._sent.append(sent)
            await send({"type": "http.response.body", "body": sent, "more_body": True})

        return await read_stream(self._call, self._reply, self._patience, pass_on)


def stopping() -> Problem:
    """What a client gets whose answer is cut because the gateway stops."""
    return Problem(503, "the gateway stops: ask again", "gateway_stopping", retry_after=5)


async def read_stream(
    call: Call, reply: aiohttp.ClientResponse, patience: Patience, pass_on: Callable[[dict[str, Any]], Awaitable[None]]
) -> Problem | None:
    """The engine's streamed answer, of which the call takes note, chunk by chunk; what went wrong on its side, if anything.

    Events that are neither chunks nor errors are dropped; `[DONE]` is not passed on, ours comes when the row is durable.
    """
    events, finished, size = Events(), False, 0

    async def take(data: bytes) -> Problem | None:
        nonlocal finished
        if data == b"[DONE]":
            return None
        part = from_json(data)
        if error := part.get("error"):
            return Problem(502, "the model server broke off", "engine_error", detail=str(error)[:500])
        choices = part.get("choices") or []
        if not choices and not part.get("usage"):
            return None
        call.count(part.get("usage"))
        for choice in choices:
            if choice.get("index") in (0, None):
                finished |= bool(choice.get("finish_reason"))
                call.cut |= choice.get("finish_reason") == "length"
                if call.said.take(choice.get("delta")) and call.first_token_ms is None:
                    call.first_token_ms = call.elapsed_ms
        await pass_on(part)
        return None

    try:
        while chunk := await patience.wait(reply.content.readany(), call.first_token_ms is not None):
            if (size := size + len(chunk)) > LONGEST_ANSWER:
                return Problem(502, f"the model server's answer has more than {LONGEST_ANSWER:,} bytes", "engine_error")
            for data in events.feed(chunk):
                if problem := await take(data):
                    return problem
        for data in events.end():
            if problem := await take(data):
                return problem
    except (TimeoutError, aiohttp.ClientError) as error:
        return engine_problem(error)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Problem(502, "the model server sent something that is not a chunk", "engine_error", detail=repr(error))
    return None if finished else Problem(502, "the model server ended its answer in the middle", "engine_error")


async def read_whole(call: Call, reply: aiohttp.ClientResponse, patience: Patience) -> dict[str, Any]:
    """The engine's whole answer, of which the call takes note. Raises Problem."""
    try:
        async with reply:
            answer: dict[str, Any] = from_json(await patience.wait(_content(reply), answering=False))
        choice = answer["choices"][0]
        message = dict(choice["message"])
        call.cut = choice.get("finish_reason") == "length"
        call.said.take(message)
        call.count(answer.get("usage"))
    except (TimeoutError, aiohttp.ClientError) as error:
        raise engine_problem(error) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Problem(502, "the model server's answer is not a completion", "engine_error", detail=repr(error)) from error
    return answer


async def _content(reply: aiohttp.ClientResponse) -> bytes:
    """All of a reply. Raises ValueError for one without an end."""
    content = bytearray()
    while chunk := await reply.content.readany():
        content += chunk
        if len(content) > LONGEST_ANSWER:
            raise ValueError(f"more than {LONGEST_ANSWER:,} bytes")
    return bytes(content)


def engine_problem(error: Exception) -> Problem:
    """The problem of an engine that does not answer, or stops in the middle of an answer."""
    if isinstance(error, TimeoutError):
        return Problem(504, "the model server took too long", "engine_timeout", detail=str(error))
    detail = f"{type(error).__name__}: {error}"
    return Problem(502, "the model server cannot be reached or broke off", "engine_unreachable", detail=detail)
