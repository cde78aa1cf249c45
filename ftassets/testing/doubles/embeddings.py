"""A local endpoint that speaks OpenAI's embeddings, as strict as the real one about what it is sent."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np

from ftassets.testing.doubles.http import served
from ftassets.testing.hash_embedder import HashEmbedder

MOST_TEXTS = 64  # in one request
Answer = Callable[[dict[str, Any]], dict[str, Any]]  # changes the whole answer before it is sent


@dataclass
class EmbeddingsDouble:
    """The server: `url` is the base of its API, `asked` are the bodies it took, `headers` what came with them.

    `replies` are used up one a request: a status with a reason and, if it is one, the header Retry-After. `longest` is the most
    characters of one text, `floats` ignores encoding_format as some servers do, `change` replaces good answers.
    """

    url: str
    model: str = "embed-small"
    longest: int = 10_000
    floats: bool = False
    replies: list[tuple[int, str]] = field(default_factory=list)
    change: Answer = lambda answer: answer  # noqa: E731
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        texts = body.get("input")
        if body.get("model") != self.model:
            return 404, {"error": {"message": f"The model {body.get('model')!r} does not exist"}}
        if not isinstance(texts, list) or not texts or len(texts) > MOST_TEXTS or not all(isinstance(text, str) and text for text in texts):
            return 400, {"error": {"message": f"'$.input' is invalid: 1 to {MOST_TEXTS} texts that are not empty are taken"}}
        if max(map(len, texts)) > self.longest:
            return 400, {"error": {"message": f"This model's maximum context length is {self.longest}"}}
        vectors = 3 * HashEmbedder().embed(texts)  # an API need not scale its vectors
        data = [{"object": "embedding", "index": i, "embedding": self._encoded(body, v)} for i, v in enumerate(vectors)]
        # the order is not promised
        return 200, self.change(
            {"object": "list", "model": self.model, "data": data[::-1], "usage": {"prompt_tokens": 1, "total_tokens": 1}}
        )

    def _encoded(self, body: dict[str, Any], vector: np.ndarray) -> str | list[float]:
        if body.get("encoding_format") == "base64" and not self.floats:
            return base64.b64encode(vector.astype("<f4").tobytes()).decode()
        return vector.tolist()


@contextmanager
def embeddings_double() -> Iterator[EmbeddingsDouble]:
    """The endpoint on a free port of loopback, for as long as the block lasts."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                here.asked.append(body)
                here.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, reply = here.replies.pop(0) if here.replies else (0, "")
                answer: dict[str, Any] = {"error": {"message": reply}}
                if not status:
                    status, answer = here.answer(body) if self.path == "/v1/embeddings" else (404, {"error": {"message": "no such path"}})
            data = json.dumps(answer).encode()
            self.send_response(status)
            if reply.isdigit():
                self.send_header("Retry-After", reply)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    with served(Handler) as url:
        here = EmbeddingsDouble(f"{url}/v1")
        yield here
