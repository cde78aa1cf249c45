"""The engine's answer on its way to the client: whole, or chunk by chunk with its end held back until the row is durable."""

from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope, Send

from ftassets.gateway.call import Call
from ftassets.gateway.client_watch import ClientGone, ClientWatch
from ftassets.gateway.idempotency import Claim
from ftassets.gateway.problems import CLIENT_GONE, Problem
from ftassets.gateway.sse import Events, event


class Relay:
    """A streamed answer: chunks as they come, `[DONE]` when the row is durable."""

    def __init__(
        self,
        call: Call,
        reply: aiohttp.ClientResponse,
        wants_usage: bool,
        claim: Claim | None,
        record: Callable[[Call, int, str | None], Awaitable[None]],
        ended: Callable[[], None],
    ) -> None:
        """`record` writes the row, with status and error; `ended` is called when the stream is over, whatever became of it."""
        self._record = record
        self._ended = ended
        self._call = call
        self._reply = reply
        self._wants_usage = wants_usage
        self._claim = claim
        self._sent: list[bytes] = []  # for the claim
        self._headers = {**call.headers, "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call
        try:
            async with ClientWatch(receive):
                problem = await self._pump(send)
            await self._end(send, problem)
        except ClientGone as error:
            await self._record(call, CLIENT_GONE, str(error))
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
        """Pass the engine's events on; what went wrong on its side, if anything."""
        raw = [(name.encode(), value.encode()) for name, value in self._headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": raw})
        events = Events()
        finished = False
        try:
            async for chunk in self._reply.content.iter_any():
                for data in events.feed(chunk):
                    if data == b"[DONE]":  # ours comes when the row is durable
                        continue
                    part = from_json(data)
                    if "error" in part:
                        return Problem(502, "the model server broke off", "engine_error", detail=str(part["error"])[:500])
                    finished |= any(choice.get("finish_reason") for choice in part["choices"])
                    self._take(part)
                    if part["choices"] or self._wants_usage:
                        sent = event(to_json(part))
                        if self._claim:
                            self._sent.append(sent)
                        await send({"type": "http.response.body", "body": sent, "more_body": True})
        except (TimeoutError, aiohttp.ClientError) as error:
            return engine_problem(error)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return Problem(502, "the model server sent something that is not a chunk", "engine_error", detail=repr(error))
        return None if finished else Problem(502, "the model server ended its answer in the middle", "engine_error")

    def _take(self, part: dict) -> None:
        """Note what a chunk says and put our names on it."""
        call = self._call
        call.count(part.get("usage"))
        part |= {"id": call.id, "model": call.loop}
        for choice in part["choices"]:
            call.cut |= choice.get("finish_reason") == "length"
            delta = choice.get("delta") or {}
            text = delta.get("content") or "".join((t.get("function") or {}).get("arguments") or "" for t in delta.get("tool_calls") or ())
            if text and call.first_token_ms is None:
                call.first_token_ms = call.elapsed_ms
            call.answer += text


async def read_whole(call: Call, reply: aiohttp.ClientResponse) -> dict[str, Any]:
    """The engine's whole answer, of which the call takes note. Raises Problem."""
    try:
        async with reply:
            answer: dict[str, Any] = from_json(await reply.read())
        message = answer["choices"][0]["message"]
        call.cut = answer["choices"][0].get("finish_reason") == "length"
        call.answer = message.get("content") or (to_json(message["tool_calls"]).decode() if message.get("tool_calls") else "")
        call.count(answer.get("usage"))
    except (TimeoutError, aiohttp.ClientError) as error:
        raise engine_problem(error) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise Problem(502, "the model server's answer is not a completion", "engine_error", detail=repr(error)) from error
    return answer


def engine_problem(error: Exception) -> Problem:
    """The problem of an engine that does not answer, or stops in the middle of an answer."""
    if isinstance(error, TimeoutError):
        return Problem(504, "the model server took too long", "engine_timeout")
    detail = f"{type(error).__name__}: {error}"
    return Problem(502, "the model server cannot be reached or broke off", "engine_unreachable", detail=detail)
