"""A local LLM judge over HTTP that answers each comparison by a rule, in whatever order requests arrive."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from ftassets.testing.doubles.http import served

Rule = Callable[[str, str, str], str | int]  # prompt, first, second -> what is preferred, or an HTTP status instead


@dataclass
class PairwiseDouble:
    """The server: its rule may be changed while it runs; `asked` are the comparisons it got, as (prompt, first, second), `messages`
    the conversations they were about."""

    url: str
    rule: Rule
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    messages: list[list[dict[str, Any]]] = field(default_factory=list)


@contextmanager
def pairwise_double(rule: Rule) -> Iterator[PairwiseDouble]:
    """A judge on a free port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = json.loads(body["messages"][1]["content"])
            question = (data["messages"][-1]["content"], data["first"], data["second"])
            with lock:
                here.asked.append(question)
                here.messages.append(data["messages"])
                said = here.rule(*question)
            text = json.dumps({"reason": "by the rule", "preferred": said})
            reply = json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode()
            self.send_response(said if isinstance(said, int) else 200)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *args: Any) -> None:
            pass

    with served(Handler) as url:
        here = PairwiseDouble(f"{url}/v1", rule)
        yield here
