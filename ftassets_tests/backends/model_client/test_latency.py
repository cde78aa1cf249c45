"""Response times as a client of a real HTTP server sees them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ftassets.backends.model_client.external import ENDPOINT_HEADER
from ftassets.backends.model_client.latency import interleaved_latency
from ftassets.config.loop import Task
from ftassets.domain.chat import Asked
from ftassets.gateway.sse import event
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost

TASK = Task(system_prompt="Answer.", max_tokens=8)


@contextmanager
def servers(**apps: Any) -> Iterator[dict[str, str]]:
    """URLs by role."""
    host = ThreadHost(lambda folder: apps[folder.name])
    try:
        for role in apps:
            asyncio.run(host.start(role, Path(role)))
        yield {role: f"{url}/v1" for role, url in asyncio.run(host.running()).items()}
    finally:
        host.close()


def engine(*events: tuple[float, dict[str, Any]]) -> Starlette:
    """Streams deltas, each after some seconds, then the end; keeps what it was asked."""

    async def chat(request: Request) -> Response:
        app.state.asked.append(await request.json())

        async def said() -> AsyncIterator[bytes]:
            for seconds, delta in events:
                await asyncio.sleep(seconds)
                yield event(json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode())
            yield event(json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode())
            yield event(b"[DONE]")

        return StreamingResponse(said(), media_type="text/event-stream")

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    app.state.asked = []
    return app


def test_first_token_and_end_are_told_apart_for_each_server_and_prompt() -> None:
    with servers(candidate=stub_engine()(Path("c")), production=stub_engine(delay=0.3)(Path("p"))) as urls:
        found = interleaved_latency(urls, [Asked.of(text) for text in ("hello", "slow on off", "hello")], TASK)
    assert {role: len(times) for role, times in found.items()} == {"candidate": 3, "production": 3}
    slow = found["candidate"][1]  # four words, one in 200 ms
    assert 150 < slow.first_ms < slow.whole_ms - 500
    assert all(ours.whole_ms < 250 < theirs.first_ms for ours, theirs in list(zip(*found.values(), strict=True))[::2])


def test_the_event_that_names_the_role_is_no_token_and_a_thought_is_one() -> None:
    role = (0.0, {"role": "assistant", "content": ""})
    app = engine(role, (0.2, {"reasoning_content": "hm"}), (0.2, {"content": "yes"}))
    with servers(candidate=app) as urls:
        (found,) = interleaved_latency(urls, [Asked.of("hello")], TASK)["candidate"]
    assert 150 < found.first_ms < found.whole_ms - 150
    body = app.state.asked[0]
    assert (body["stream"], body["max_tokens"], body["messages"][0]["content"]) == (True, 8, "Answer.")


def test_an_answer_without_a_token_has_its_first_one_at_its_end() -> None:
    with servers(candidate=engine((0.1, {"role": "assistant"}))) as urls:
        (found,) = interleaved_latency(urls, [Asked.of("hello")], TASK)["candidate"]
    assert found.first_ms == found.whole_ms > 90


def in_one_piece(content: Any, headers: dict[str, str] | None = None) -> Starlette:
    """Does not stream, whatever it is asked."""

    async def chat(request: Request) -> Response:
        await asyncio.sleep(0.1)
        return JSONResponse(content, headers=headers)

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


def test_an_answer_in_one_piece_has_its_first_token_at_its_end() -> None:
    whole = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
    with servers(candidate=in_one_piece(whole)) as urls:
        (found,) = interleaved_latency(urls, [Asked.of("hello")], TASK)["candidate"]
    assert found.first_ms == found.whole_ms > 90


def test_an_answer_that_is_none_is_the_endpoint_s_behind_the_loopback_address() -> None:
    app = in_one_piece({"error": "no"}, {ENDPOINT_HEADER: "https://api.example.com/v1"})
    with servers(candidate=app) as urls, pytest.raises(requests.RequestException, match="^https://api.example.com/v1 broke off"):
        interleaved_latency(urls, [Asked.of("hello")], TASK)


@pytest.mark.parametrize(("prompt", "why"), [("break", "broke off"), ("fail", "500 Server Error"), ("garbage", "broke off")])
def test_an_answer_that_is_none_is_an_error_and_no_time(prompt: str, why: str) -> None:
    with servers(candidate=stub_engine()(Path("c"))) as urls, pytest.raises(requests.RequestException, match=why):
        interleaved_latency(urls, [Asked.of(prompt)], TASK)
