"""Model servers and the gateway in threads of the test process: real HTTP, and a real model where one is asked for."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.serving.gateway_address import Address
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.gateway.model_hosts.base import HostError, ModelHost
from ftassets.gateway.server import serve
from ftassets.gateway.sse import event
from ftassets.workers.evaluation.generate import load


class ThreadHost:
    """Serves each version in a uvicorn thread; `make_app` gets the version's folder."""

    context = 4096

    def __init__(self, make_app: Callable[[Path], ASGIApp] | None = None) -> None:
        if make_app is None:
            _load_one_model_at_a_time()
        self.make_app = make_app or transformers_app
        self.stopped: list[tuple[str, int]] = []  # and how many requests each still had to answer
        self._servers: dict[str, tuple[uvicorn.Server, threading.Thread, str]] = {}

    async def start(self, digest: str, folder: Path) -> None:
        self._servers[digest] = await asyncio.to_thread(self._serve, folder)

    async def stop(self, digest: str) -> None:
        server, thread, _ = self._servers.pop(digest)
        self.stopped.append((digest, len(server.server_state.tasks)))
        server.should_exit = True
        await asyncio.to_thread(thread.join, 10)

    async def running(self) -> dict[str, str]:
        return {digest: url for digest, (_, thread, url) in self._servers.items() if thread.is_alive()}

    async def failure(self, digest: str) -> str | None:
        return None

    def kill(self, digest: str) -> None:
        """End a server behind the gateway's back."""
        server, thread, _ = self._servers[digest]
        server.should_exit = server.force_exit = True
        thread.join(10)

    def close(self) -> None:
        """End all servers."""
        for server, thread, _ in self._servers.values():
            server.should_exit = server.force_exit = True
            thread.join(10)

    def _serve(self, folder: Path) -> tuple[uvicorn.Server, threading.Thread, str]:
        config = uvicorn.Config(self.make_app(folder), port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name=f"model-{folder.name[:8]}", daemon=True)
        thread.start()
        while not server.started:
            if not thread.is_alive():
                raise HostError(f"the server of {folder.name[:12]} did not start")
            time.sleep(0.01)
        return server, thread, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"


@cache
def _load_one_model_at_a_time() -> None:
    """Transformers replaces methods of its classes while it loads a model: two threads that load at once never put them back."""
    from transformers import PreTrainedModel

    load: Any = PreTrainedModel.__dict__["from_pretrained"].__func__
    lock = threading.RLock()

    @wraps(load)
    def from_pretrained(cls: type[PreTrainedModel], *arguments: Any, **named: Any) -> Any:
        with lock:
            return load(cls, *arguments, **named)

    PreTrainedModel.from_pretrained = classmethod(from_pretrained)  # type: ignore[assignment]


def transformers_app(folder: Path) -> ASGIApp:
    """A small OpenAI-compatible server over `generate`, one request at a time, greedy."""
    import torch

    tokenizer, model = load(folder / "merged")
    one_at_a_time = threading.Lock()

    def answer(body: dict) -> tuple[str, int, int]:
        inputs: Any = tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or 64
        with one_at_a_time, torch.inference_mode():
            output = model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        new = output[0, inputs["input_ids"].shape[1] :]
        return str(tokenizer.decode(new, skip_special_tokens=True)), inputs["input_ids"].shape[1], len(new)

    async def chat(request: Request) -> Response:
        body = await request.json()
        text, tokens_in, tokens_out = await asyncio.to_thread(answer, body)
        usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
        head = {"id": "x", "created": int(time.time()), "model": "merged"}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = JSONResponse(
            {
                **head,
                "object": "chat.completion.chunk",
                "usage": usage,
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            }
        )
        return StreamingResponse(iter([event(bytes(chunk.body))]), media_type="text/event-stream")

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    return Starlette(routes=[Route("/health", health), Route("/v1/chat/completions", chat, methods=["POST"])])


@contextmanager
def run_gateway_in_thread(
    home: Home, loops: Mapping[str, LoopConfig], host: ModelHost, clock: Callable[[], float] = time.time, **options: Any
) -> Iterator[tuple[GatewayServing, str]]:
    """A gateway on free ports; yields the client of its admin API and its public base URL (without /v1). `options` are those of `serve`."""
    ready = threading.Event()
    addresses: list[Address] = []
    errors: list[BaseException] = []
    control: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def started(address: Address) -> None:
        addresses.append(address)
        ready.set()

    async def main() -> None:
        stop = asyncio.Event()
        control.append((asyncio.get_running_loop(), stop))
        await serve(home, loops, host, stop, started=started, clock=clock, **options)

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="gateway", daemon=True)
    thread.start()
    ready.wait(60)
    if not addresses:
        raise errors[0] if errors else TimeoutError("the gateway did not start")
    try:
        yield GatewayServing(home), addresses[0].public
    finally:
        loop, stop = control[0]
        if not loop.is_closed():
            loop.call_soon_threadsafe(stop.set)
        thread.join(30)
    if errors:
        raise errors[0]
