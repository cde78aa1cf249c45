"""An endpoint that speaks OpenAI's API and means no good: what it is shown of, and when it is given up."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from ftassets.backends.model_client import openai as client
from ftassets.backends.model_client.openai import OpenAIEndpoint
from ftassets.testing.doubles.http import served

KEY = "sk-s3cr3t/k3y+0123456789"
USERS = "my diagnosis is cancer, mail joe@example.com"
ASKED = {"messages": [{"role": "system", "content": "Answer with a JSON object."}, {"role": "user", "content": USERS}]}


class Failed(Exception):
    pass


@contextmanager
def answering(status: int, *parts: bytes, pause: float = 0, length: int | None = None, **headers: str) -> Iterator[OpenAIEndpoint]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(sum(map(len, parts)) if length is None else length))
            self.end_headers()
            try:
                for part in parts:
                    self.wfile.write(part)
                    self.wfile.flush()
                    time.sleep(pause)
            except OSError:
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    with served(Handler) as url:
        yield OpenAIEndpoint("judge", url, "ENDPOINT_KEY", Failed, tries=2, backoff=0.01, longest_wait=1, timeout=(5.0, 0.5))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_KEY", KEY)


def said(body: Any, **headers: str) -> str:
    with answering(422, json.dumps(body).encode(), **headers) as endpoint:
        return endpoint.said(endpoint.post(ASKED))


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ({"message": "the model takes no schema", "code": "bad_schema"}, ": bad_schema: the model takes no schema"),
        ({"message": "answer with a JSON object"}, ": answer with a JSON object"),
        ("slow down", ": slow down"),
        ({"message": f"bad: {USERS}"}, ""),
        ({"message": "bad: DIAGNOSIS  is\\n cancer"}, ""),
        ({"message": None}, ""),
        ([USERS], ""),
        (None, ""),
    ],
)
def test_an_error_is_shown_unless_it_quotes_what_was_sent(error: Any, shown: str) -> None:
    assert said({"error": error}) == shown
    assert said({"detail": [{"input": USERS}]}) == ""


@pytest.mark.parametrize("where", [0, 270, 280, 290, 299])
@pytest.mark.parametrize(
    "written", [KEY, f"{KEY[:9]} {KEY[9:]}", f"{KEY[:9]}\n{KEY[9:]}", KEY.replace("/", "\\/"), f"{KEY[:9]}\\n{KEY[9:]}"]
)
def test_no_part_of_the_key_is_shown(written: str, where: int) -> None:
    shown = said({"error": {"message": "x" * where + written}})
    assert shown == f": {'x' * where}***"[:302]


@pytest.mark.parametrize("charset", ["idna", "undefined", "nonesuch"])
def test_the_charset_of_a_body_does_not_matter(charset: str) -> None:
    assert said({"error": "no"}, Content_Type=f"application/json; charset={charset}") == ": no"


@pytest.mark.parametrize("body", [b"[" * 200_000, b"\xff", b"1" * 5000, b""])
def test_what_is_no_json_is_one_kind_of_error(body: bytes) -> None:
    with answering(200, body) as endpoint, pytest.raises(ValueError):  # noqa: PT011
        endpoint.post(ASKED).json()


@pytest.mark.parametrize("status", [200, 307, 401])
def test_an_answer_without_end_is_given_up(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1_000_000)
    with (
        answering(status, *[b" " * 100_000] * 20, length=10**9, Location="http://127.0.0.1:9/") as endpoint,
        pytest.raises(Failed, match="the judge at .* answered more than 1 MB: check url"),
    ):
        endpoint.post(ASKED)
    started = time.monotonic()
    with (
        answering(status, *[b" "] * 100, pause=0.1, Location="http://127.0.0.1:9/") as endpoint,
        pytest.raises(Failed, match="the judge at .* did not finish its answer within 1 s"),
    ):
        endpoint.post(ASKED)
    assert time.monotonic() - started < 5


def test_the_body_of_a_busy_answer_is_not_waited_for() -> None:
    started = time.monotonic()
    with answering(503, *[b" "] * 100, pause=0.1) as endpoint, pytest.raises(Failed, match="within 1 s"):
        endpoint.post(ASKED)
    assert time.monotonic() - started < 5
