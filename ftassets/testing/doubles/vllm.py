"""vLLM's OpenAI server as far as adapters go, with its statuses and messages (0.32): no model, but the answers say what would answer.

An adapter's weights are a file of text: an answer is that text and the prompt, and the base answers with its own name.
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ftassets.gateway.model_hosts.programs import Program
from ftassets.gateway.sse import event


@dataclass
class VllmDouble:
    """One server. `applies` gives an adapter's answer for its weights and the prompt: a test lets it drop what real ones may drop."""

    base: str = "merged"
    max_lora_rank: int = 16
    applies: Callable[[str, str], str] = lambda weights, prompt: f"{weights} {prompt}"
    without: Callable[[str], str] = lambda prompt: f"base {prompt}"
    loaded: dict[str, str] = field(default_factory=dict)  # name -> the adapter's weights
    log: list[tuple[str, str]] = field(default_factory=list)  # verb and name
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The server."""
        post = {"load_lora_adapter": self._load, "unload_lora_adapter": self._unload, "chat/completions": self._chat}
        routes = [Route("/health", lambda _: Response()), Route("/v1/models", self._models)]
        return Starlette(routes=[*routes, *(Route(f"/v1/{path}", each, methods=["POST"]) for path, each in post.items())])

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in (self.base, *self.loaded)]})

    async def _load(self, request: Request) -> Response:
        asked = await request.json()
        name, path = asked["lora_name"], Path(asked["lora_path"])
        if name in self.loaded:
            return _error(400, f"The lora adapter '{name}' has already been loaded.", "InvalidUserInput")
        try:
            config = json.loads((path / "adapter_config.json").read_bytes())
            weights = (path / "adapter_model.safetensors").read_text()
        except OSError:
            return _error(404, f"Loading lora {name} failed: No adapter found for {path}", "NotFoundError")
        if config["r"] > self.max_lora_rank:
            why = f"LoRA rank {config['r']} is greater than max_lora_rank {self.max_lora_rank}."
            return _error(400, why, "BadRequestError")
        self.loaded[name] = weights
        self.log.append(("load", name))
        return Response(f"Success: LoRA adapter '{name}' added successfully.")

    async def _unload(self, request: Request) -> Response:
        name = (await request.json())["lora_name"]
        if name not in self.loaded:
            return _error(404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.loaded[name]
        self.log.append(("unload", name))
        return Response(f"Success: LoRA adapter '{name}' removed successfully.")

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        if body["model"] != self.base and body["model"] not in self.loaded:
            return _error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        self.bodies.append(body)
        prompt = body["messages"][-1]["content"]
        text = self.without(prompt) if body["model"] == self.base else self.applies(self.loaded[body["model"]], prompt)
        head = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        if not body.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        chunk = {**head, "object": "chat.completion.chunk"}
        sent = [
            {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}]},
            {**chunk, "choices": [], "usage": usage},
        ]
        stream = [*(event(json.dumps(each).encode()) for each in sent), event(b"[DONE]")]
        return StreamingResponse(iter(stream), media_type="text/event-stream")


def _error(code: int, message: str, kind: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, code)


class VllmServers:
    """Runs a double for each base, in place of supervisord and its programs; `doubles` by the name of the server."""

    def __init__(self, make: Callable[[], VllmDouble] = VllmDouble) -> None:
        self._make = make
        self.doubles: dict[str, VllmDouble] = {}
        self.started: list[list[str]] = []  # arguments of each start
        self.fails: str | None = None
        self._servers: dict[str, tuple[uvicorn.Server, threading.Thread]] = {}

    def start(self, name: str, arguments: Callable[[Path, int], Any]) -> None:
        self.started.append(list(arguments(Path("/"), 0)))
        self.doubles[name] = self._make()
        config = uvicorn.Config(self.doubles[name].app(), port=0, lifespan="off", log_level="error", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name=f"vllm-{name[:8]}", daemon=True)
        thread.start()
        self._servers[name] = (server, thread)

    def stop(self, name: str) -> None:
        server, thread = self._servers.pop(name, (None, None))
        if server and thread:
            server.should_exit = server.force_exit = True
            thread.join(10)

    def all(self) -> dict[str, Program]:
        return {name: Program(name, self._url(server), "RUNNING") for name, (server, _) in self._servers.items()}

    def failure(self, name: str) -> str | None:
        return self.fails

    def _url(self, server: uvicorn.Server) -> str:
        port = server.servers[0].sockets[0].getsockname()[1] if server.started else 9
        return f"http://127.0.0.1:{port}"
