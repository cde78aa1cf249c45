"""The client of the gateway's admin API."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from ftassets.backends.serving.base import ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.serving.gateway_address import ADDRESS, ADMIN_TOKEN, Address, admin_token, write_address
from ftassets.config.home import Home
from ftassets.errors import InvalidInput
from ftassets.testing.releases import loop_config
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


def test_gateway_that_is_not_there_says_how_to_start_it(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(ServingError, match="ftassets up"):
        GatewayServing(home).state("support")
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
        assert serving.state("support").phase == "idle"
        for unknown in ("nonesuch", "a b?c#d"):
            with pytest.raises(ServingError, match=rf"there is no loop '{re.escape(unknown)}'; there are support"):
                serving.rollback(unknown, "cli", "x")
    with pytest.raises(ServingError, match=r"gateway not reachable at http://127.0.0.1:\d+ .*`ftassets up`"):
        serving.state("support")


TOKENS = {"a line break": b"tok\nen", "no ASCII": "tok-\u00e9".encode(), "no UTF-8": b"tok-\xff", "nothing": b"\n"}


@pytest.mark.parametrize("case", TOKENS)
def test_a_token_file_that_holds_no_token_is_named_and_not_shown(case: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    write_address(home, Address("http://127.0.0.1:9", "http://127.0.0.1:9", 1))
    (home.keys).mkdir()
    (home.keys / ADMIN_TOKEN).write_bytes(TOKENS[case])
    with pytest.raises(ServingError, match=r"admin.token is not one word of ASCII characters") as refused:
        GatewayServing(home).health()
    assert "tok-" not in str(refused.value)
    with pytest.raises(InvalidInput, match="admin.token"):
        admin_token(home)


class Stranger(BaseHTTPRequestHandler):
    """A program that has the port of a gateway that is gone."""

    answers = (200, b"<html>")
    seen: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        self.seen.append(self.headers["authorization"])
        self.send_response(self.answers[0])
        self.end_headers()
        self.wfile.write(self.answers[1])

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.parametrize("content", [b"<html>", b"5", b'{"a": 1}', b"null", b"[" * 100_000, b""])
@pytest.mark.parametrize("status", [200, 401])
def test_another_program_at_the_address_is_named_and_gets_no_token(status: int, content: bytes, tmp_path: Path) -> None:
    home = Home(tmp_path)
    admin_token(home)

    class Handler(Stranger):
        answers = (status, content)
        seen: ClassVar[list[str | None]] = []

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        write_address(home, Address(url, url, 1))
        with pytest.raises(ServingError, match=f"what answers at {url} is not the gateway"):
            GatewayServing(home).state("support")
        server.shutdown()
    assert Handler.seen == [None]


@pytest.mark.parametrize("content", [b"<html>", b"5", b'{"a": 1}', b"null", b"[" * 100_000])
def test_an_answer_that_cannot_be_read_names_the_url(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path)
    admin_token(home)
    monkeypatch.setattr("ftassets.backends.serving.gateway._is_gateway", lambda answer: True)
    handler = type("Handler", (Stranger,), {"answers": (200, content), "seen": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(ServingError, match=url):
            GatewayServing(home, url).state("support")
        server.shutdown()


ADDRESSES = {
    "newer": ('{"format": 99}', "newer release of ftassets"),
    "no JSON": ("{", "cannot be read"),
    "deep": ("[" * 100_000, "cannot be read"),
    "numbers": ('{"public": 1, "admin": 2, "pid": 3}', "cannot be read"),
    "no URL": ('{"public": "x", "admin": "x", "pid": 3}', "gateway not reachable at x"),
    "no IPv6": ('{"public": "x", "admin": "http://[::1:x", "pid": 3}', "gateway not reachable"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_address_that_cannot_be_used_is_one_sentence(case: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    admin_token(home)
    home.gateway.mkdir()
    content, words = ADDRESSES[case]
    (home.gateway / ADDRESS).write_text(content)
    with pytest.raises(ServingError, match=words):
        GatewayServing(home).state("support")
