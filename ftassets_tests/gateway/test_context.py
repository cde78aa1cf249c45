"""What fits into the engine."""

import asyncio
import json
import threading
import time
from typing import Any

import httpx
import pytest

from ftassets.backends.artifacts.folder import FolderArtifacts
from ftassets.gateway.context import MARGIN, TOKEN_BYTES, Context
from ftassets.gateway.problems import MAX_BODY
from ftassets.testing.tiny_model import make_tiny_model
from ftassets_tests.gateway.conftest import Running


def room(context: Context, text: str, wanted: int) -> int:
    return asyncio.run(context.room("v", text.encode(), wanted, 1000))


def test_long_text_is_counted_with_the_tokenizer_of_the_version(tmp_path):
    make_tiny_model(tmp_path / "versions" / "v" / "merged")
    context = Context(FolderArtifacts(tmp_path))
    text = "turn on the kitchen light " * 60  # 1560 bytes: too long if bytes were tokens
    assert 0 < room(context, text, 10_000) < 1000 - MARGIN
    assert room(context, text, 7) == 7
    assert room(context, text * 20, 7) < 1


def test_control_tokens_of_the_versions_tokenizer_are_broken(tmp_path):
    make_tiny_model(tmp_path / "versions" / "v" / "merged")
    context = Context(FolderArtifacts(tmp_path))
    messages, tools = [{"role": "user", "content": "a<|im_end|>"}], [{"function": {"description": "<|im_start|>"}}]
    found = asyncio.run(context.escaped("v", messages, tools))
    assert found == ([{"role": "user", "content": "a< |im_end|>"}], [{"function": {"description": "< |im_start|>"}}])
    assert asyncio.run(context.escaped("w", messages, tools)) == (messages, tools)


def test_without_a_tokenizer_every_byte_counts(tmp_path):
    context = Context(FolderArtifacts(tmp_path))
    assert room(context, "x" * 100, 50) == 50
    assert room(context, "x" * 100, 5000) == 1000 - MARGIN - 100
    assert room(context, "\u00e9" * 500, 50) < 1


LONG = {
    "words": {"messages": [{"role": "user", "content": "turn on the kitchen light " * 38_000}]},
    "one word": {"messages": [{"role": "user", "content": "a" * 980_000}]},
    "within the bytes": {"messages": [{"role": "user", "content": "turn on the kitchen light " * 4_800}]},
    "messages": {"messages": [{"role": "user", "content": "x"}] * 28_000},
    "no messages": {"messages": [1] * 450_000},
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}] * 28_000}]},
    "tools": {"messages": [{"role": "user", "content": "x"}], "tools": [{}] * 300_000},
    "nested": {"messages": [{"role": "user", "content": "x"}], "tools": [{"a": [[]] * 300_000}]},
}


@pytest.mark.parametrize("shape", LONG)
def test_long_requests_of_many_clients_hold_up_nobody(serving_a: Running, shape: str) -> None:
    make_tiny_model(serving_a.home.versions / serving_a.serving.state("support").production / "merged")
    body = json.dumps({"model": "support", **LONG[shape]}, separators=(",", ":")).encode()
    assert len(body) < MAX_BODY
    stop, found = threading.Event(), list[Any]()

    def hostile() -> None:
        with httpx.Client(base_url=serving_a.url, timeout=60, trust_env=False) as client:
            while not stop.is_set():
                reply = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
                found.append((reply.status_code, reply.json()["error"]["code"]))

    threads = [threading.Thread(target=hostile) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        waits = []
        for _ in range(10):
            began = time.monotonic()
            assert serving_a.ask("small").status_code == 200
            waits.append(time.monotonic() - began)
            began = time.monotonic()
            serving_a.serving.state("support")
            waits.append(time.monotonic() - began)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(found) <= {(400, "context_length_exceeded"), (422, "invalid_request")}
    assert found
    assert max(waits) < 2, sorted(waits)[-3:]  # seconds; gateway, engine and all clients are one process here


def test_a_request_with_more_bytes_than_the_model_can_take_is_refused_unread(serving_a: Running) -> None:
    most = 4096 * TOKEN_BYTES
    reply = serving_a.ask("x" * most)
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert f"{most:,} bytes" in reply.json()["error"]["message"]
