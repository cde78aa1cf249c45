"""An OpenAI-compatible endpoint on loopback that asks for a key, counts tokens and keeps the requests it got."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ftassets.gateway.sse import event

KEY, VARIABLE = "sk-not-to-be-seen", "EXTERNAL_TEST_KEY"


@dataclass
class ExternalEndpoint:
    """What the test may change, and what was asked: `bodies` of chat requests with the right key."""

    url: str = ""
    answer: Callable[[str], str] = lambda prompt: f"elsewhere: {prompt}"
    finish: str = "stop"
    fail_with: int | None = None
    fail_only: str | None = None  # a model's name; without it all fail
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45})
    bodies: list[dict] = field(default_factory=list)

    async def chat(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({"error": f"wrong key: {request.headers.get('authorization')}"}, 401)
        body = await request.json()
        if self.fail_with and self.fail_only in (None, body["model"]):
            return JSONResponse({"error": f"no, not even with {KEY}"}, self.fail_with, {"retry-after": "11"})
        self.bodies.append(body)
        text = self.answer(body["messages"][-1]["content"])
        if body.get("stream"):
            return StreamingResponse(self._chunks(text), media_type="text/event-stream")
        message = {"role": "assistant", "content": text}
        return JSONResponse(self._said({"message": message}, self.finish) | ({"usage": self.usage} if self.usage else {}))

    async def models(self, request: Request) -> Response:
        return JSONResponse({"data": []}, self.fail_with or 200)

    async def _chunks(self, text: str):  # noqa: ANN202 - an async iterator of bytes
        for word in text.split(" "):
            yield event(json.dumps(self._said({"delta": {"content": f"{word} "}}, None)).encode())
        yield event(json.dumps(self._said({"delta": {}}, self.finish)).encode())
        yield event(json.dumps({"id": "x", "choices": [], "usage": self.usage}).encode())
        yield event(b"[DONE]")

    def _said(self, choice: dict, finish: str | None) -> dict:
        return {"id": "x", "object": "chat.completion", "model": "theirs", "choices": [{"index": 0, "finish_reason": finish, **choice}]}


@contextmanager
def external_endpoint() -> Iterator[ExternalEndpoint]:
    """The endpoint, listening; `url` ends in /v1. The key is in the environment under VARIABLE only if the test puts it there."""
    endpoint = ExternalEndpoint()
    routes = [Route("/v1/models", endpoint.models), Route("/v1/chat/completions", endpoint.chat, methods=["POST"])]
    server = uvicorn.Server(
        uvicorn.Config(Starlette(routes=routes), port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, name="external", daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    endpoint.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield endpoint
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
