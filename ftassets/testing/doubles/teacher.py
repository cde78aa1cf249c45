"""A local teacher over HTTP with scripted answers, which keeps what it was asked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def completion(text: str | None, finish_reason: str = "stop", **message: Any) -> Response:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text, **message}}
    return JSONResponse({"id": "x", "object": "chat.completion", "created": 0, "model": "large", "choices": [choice]})


@dataclass
class ScriptedTeacher:
    """`url` is the base of its API; `script` has the answers to come, `asked` the bodies and `headers` what came with them."""

    url: str
    script: list[Response]
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def scripted_teacher(*script: Response) -> Iterator[ScriptedTeacher]:
    """Serves on a free port until the block ends."""
    teacher = ScriptedTeacher("", list(script))

    async def chat(request: Request) -> Response:
        teacher.asked.append(await request.json())
        teacher.headers.append(dict(request.headers))
        return teacher.script.pop(0)

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    teacher.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    try:
        yield teacher
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)
