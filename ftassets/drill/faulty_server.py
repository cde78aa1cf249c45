"""A model server without a model, which behaves as a drill wants it to."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ftassets.gateway.sse import event


@dataclass(frozen=True)
class Behaviour:
    """Of every so many requests one fails (1: all, 0: none), or lacks the form of the task; and seconds until the answer."""

    fails: int = 0
    malformed: int = 0
    delay: float = 0.0


def engine(digest: str, behaviours: Mapping[str, Behaviour], answer: str) -> Starlette:
    """The server of a version; a well-behaved one gives this answer to everything."""
    asked = 0

    async def chat(request: Request) -> Response:
        nonlocal asked
        behaviour, body = behaviours.get(digest, Behaviour()), await request.json()
        if body["messages"][-1]["content"] == "ready?":  # its start is no fault of the drill
            return JSONResponse(_whole("ok"))
        asked += 1
        await asyncio.sleep(behaviour.delay)
        if behaviour.fails and asked % behaviour.fails == 0:
            return JSONResponse({"detail": "drill"}, 500)
        said = "{ no" if behaviour.malformed and asked % behaviour.malformed == 0 else answer
        if not body.get("stream"):
            return JSONResponse(_whole(said))
        chunk = {**_whole(said), "object": "chat.completion.chunk"}
        chunk["choices"] = [{"index": 0, "delta": {"role": "assistant", "content": said}, "finish_reason": "stop"}]
        return StreamingResponse(iter([event(json.dumps(chunk).encode()), event(b"[DONE]")]), media_type="text/event-stream")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/health", health), Route("/v1/chat/completions", chat, methods=["POST"])])


def _whole(text: str) -> dict:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {"id": "drill", "object": "chat.completion", "created": 1, "model": "merged", "choices": [choice], "usage": usage}
