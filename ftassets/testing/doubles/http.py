"""A local HTTP server with scripted replies, which keeps what it was sent."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Received:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """The server: `replies` are used up one a request, then it is 200 `ok`."""

    url: str
    replies: list[tuple[int, Any]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)


@contextmanager
def served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on a free port of loopback, for as long as the block lasts; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A server on a free port; a reply other than a string is sent as JSON, a reply with status 3xx as the redirect location."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                here.received.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, json.loads(content)))
                status, reply = here.replies.pop(0) if here.replies else (200, "ok")
            data = (reply if isinstance(reply, str) else json.dumps(reply)).encode()
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", str(reply))
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None:
            pass

    with served(Handler) as url:
        here = Receiver(url)
        yield here
