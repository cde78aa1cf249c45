"""A model server without a model: the prompt says what it answers and how it fails."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ftassets.gateway.sse import event


def stub_engine(delay: float = 0.0) -> Callable[[Path], ASGIApp]:
    """Makes apps for ThreadHost; each answers with its version's digest, or with the request for the prompts `echo` and `headers`."""
    return lambda folder: _app(folder.name, delay)


def _app(digest: str, delay: float) -> ASGIApp:
    async def chat(request: Request) -> Response:
        body = await request.json()
        prompt = body["messages"][-1]["content"]
        if prompt == "ready?":
            return JSONResponse(_whole("ok"))
        if prompt == "fail":
            return JSONResponse({"detail": "in /secret path"}, 500, {"retry-after": "7"})
        if prompt == "refuse":
            return JSONResponse({"detail": "unexpected field"}, 422)
        if prompt == "garbage":
            return Response("hello", media_type="text/plain")
        await asyncio.sleep(float(prompt.split()[1]) if prompt.startswith("wait") else delay)
        said = {"echo": json.dumps(body), "headers": "".join(f"{name}: {value}\n" for name, value in request.headers.items())}
        text = said.get(prompt, f"{digest} {prompt}")
        reason = "length" if prompt == "cut" else "stop"
        if not body.get("stream"):
            return JSONResponse(_whole(text, reason))
        chunks = _chunks(text, 0.2 if prompt.startswith("slow") else 0.0, breaks=prompt == "break", reason=reason)
        return StreamingResponse(chunks, media_type="text/event-stream")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/health", health), Route("/v1/chat/completions", chat, methods=["POST"])])


def _whole(text: str, reason: str = "stop") -> dict:
    return {
        "id": "engine-1",
        "object": "chat.completion",
        "created": 1,
        "model": "merged",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    }


async def _chunks(text: str, delay: float, breaks: bool, reason: str) -> AsyncIterator[bytes]:
    head = {"id": "engine-1", "object": "chat.completion.chunk", "created": 1, "model": "merged"}
    for word in text.split(" "):
        await asyncio.sleep(delay)
        yield event(json.dumps({**head, "choices": [{"index": 0, "delta": {"content": f"{word} "}, "finish_reason": None}]}).encode())
    if breaks:
        return
    yield event(json.dumps({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}).encode())
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    yield event(json.dumps({**head, "choices": [], "usage": usage}).encode())
    yield event(b"[DONE]")
