"""Answers of odd but working model servers reach client and log, in one form."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.conftest import Running

HEAD = {"id": "e", "object": "chat.completion.chunk", "created": 1, "model": "merged"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def chunk(delta: Any, reason: str | None = None, **more: Any) -> bytes:
    return b"data: " + json.dumps({**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], **more}).encode() + b"\n\n"


HELLO = chunk({"role": "assistant", "content": "hel"}) + chunk({"content": "lo"}) + chunk({}, "stop")
CALLS = (
    chunk({"content": None, "tool_calls": [{**CALL, "index": 0, "function": {"name": "f", "arguments": ""}}]})
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]})
    + chunk({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]})
    + chunk({}, "tool_calls")
)
DONE = b"data: [DONE]\n\n"
STREAMS: dict[str, tuple[bytes, str]] = {
    "plain": (HELLO + DONE, "hello"),
    "no DONE": (HELLO, "hello"),
    "pings": (b": ping\n\nevent: ping\ndata: x\n\n" + HELLO + b'data: {"type": "ping"}\n\ndata:\n\n' + DONE, "hello"),
    "no last blank line": (HELLO.rstrip(b"\n"), "hello"),
    "one line end": (HELLO[:-1], "hello"),
    "CR lines": (HELLO.replace(b"\n", b"\r") + DONE, "hello"),
    "CRLF lines": (HELLO.replace(b"\n", b"\r\n"), "hello"),
    "error null": (chunk({"content": "hello"}, error=None) + chunk({}, "stop", error={}) + DONE, "hello"),
    "null choices": (HELLO + b'data: {"choices": null, "usage": null}\n\n' + DONE, "hello"),
    "null delta": (HELLO[:-2] + b"\n\n" + chunk(None) + DONE, "hello"),
    "odd usage": (HELLO + b'data: {"choices": [], "usage": {"prompt_tokens": "7", "completion_tokens": -3}}\n\n', "hello"),
    "usage is a list": (HELLO + b'data: {"choices": [], "usage": [1]}\n\n', "hello"),
    "two lines of data": (HELLO.replace(b'"choices"', b'\ndata: "choices"'), "hello"),
    "list of parts": (chunk({"content": [{"type": "text", "text": "hello"}]}) + chunk({}, "stop"), "hello"),
    "thoughts": (chunk({"reasoning_content": "hm"}) + HELLO, "hello"),
    "calls": (CALLS + DONE, json.dumps([CALL])),
    "text and calls": (HELLO.replace(b'"stop"', b"null") + CALLS, json.dumps([{"type": "text", "text": "hello"}, CALL])),
    "second choice": (HELLO + b'data: {"choices": [{"index": 1, "delta": {"content": "other"}, "finish_reason": "stop"}]}\n\n', "hello"),
}
WHOLES: dict[str, tuple[dict[str, Any], str]] = {
    "plain": ({"content": "hello"}, "hello"),
    "list of parts": ({"content": [{"type": "text", "text": "hello"}]}, "hello"),
    "thoughts": ({"content": "hello", "reasoning_content": "hm"}, "hello"),
    "calls": ({"content": None, "tool_calls": [CALL]}, json.dumps([CALL])),
    "text and calls": ({"content": "hello", "tool_calls": [CALL]}, json.dumps([{"type": "text", "text": "hello"}, CALL])),
    "refusal": ({"content": None, "refusal": "no"}, "no"),
    "nothing": ({"content": None}, ""),
}
BAD: dict[str, bytes] = {
    "an error": chunk({"content": "hel"}) + b'data: {"error": {"message": "out of memory"}}\n\n',
    "an error as text": b'data: {"error": "out of memory"}\n\n',
    "not JSON": HELLO[:40] + b"\n\n",
    "no end": chunk({"content": "hel"}),
    "nothing": b"",
    "only DONE": DONE,
    "a list": b"data: []\n\n",
    "odd choices": b'data: {"choices": [5]}\n\n',
}


def engine(folder: Path) -> Starlette:
    async def chat(request: Request) -> Response:
        body = await request.json()
        kind, _, name = body["messages"][-1]["content"].partition(":")
        if kind == "stream":
            sent = STREAMS[name][0] if name in STREAMS else BAD[name]
            return StreamingResponse(iter([sent[at : at + 7] for at in range(0, len(sent), 7)]), media_type="text/event-stream")
        message = WHOLES[name][0] if kind == "whole" else {"content": "ok"}
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
        return JSONResponse({**HEAD, "choices": [choice], "usage": {"prompt_tokens": 7.0, "completion_tokens": None}, "error": None})

    async def health(request: Request) -> Response:
        return JSONResponse({})

    return Starlette(routes=[Route("/health", health), Route("/v1/chat/completions", chat, methods=["POST"])])


@pytest.fixture
def host() -> Iterator[ThreadHost]:
    host = ThreadHost(engine)
    yield host
    host.close()


def same(logged: str, expected: str) -> bool:
    return logged == expected or (expected.startswith("[") and json.loads(logged) == json.loads(expected))


def test_good_answers_are_200_and_alike_in_the_log_streamed_or_not(serving_a: Running) -> None:
    for name, (_, expected) in STREAMS.items():
        reply = serving_a.ask(f"stream:{name}", stream=True)
        assert reply.text.endswith("data: [DONE]\n\n"), (name, reply.text)
        row = serving_a.rows()[-1]
        assert (row.status, row.error) == (200, None), (name, row)
        assert same(row.answer, expected), (name, row.answer)
        assert row.first_token_ms is not None
        assert row.tokens_in is row.tokens_out is None
    for name, (_, expected) in WHOLES.items():
        assert serving_a.ask(f"whole:{name}").status_code == 200
        row = serving_a.rows()[-1]
        assert same(row.answer, expected), (name, row.answer)
        assert (row.tokens_in, row.tokens_out) == (7, None)


def test_the_openai_client_reads_them(serving_a: Running) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{serving_a.url}/v1", api_key="none")
    for name in STREAMS.keys() - {"list of parts", "odd usage", "usage is a list", "null delta"}:  # its types have no place for these
        with client.chat.completions.stream(model="support", messages=[{"role": "user", "content": f"stream:{name}"}]) as stream:
            said = stream.get_final_completion().choices[0].message
        calls = [call.function.name for call in said.tool_calls or ()]
        assert (said.content or "", calls) == ("" if name == "calls" else "hello", ["f"] * ("calls" in name)), name


def test_bad_streams_end_with_an_error_and_without_done(serving_a: Running) -> None:
    for name in BAD:
        reply = serving_a.ask(f"stream:{name}", stream=True)
        assert "[DONE]" not in reply.text, name
        error = json.loads(reply.text.strip().split("\n\n")[-1].removeprefix("data: "))["error"]
        assert error["code"] == "engine_error"
        assert "memory" not in reply.text, "what a server says of itself is for the log"
        assert serving_a.rows()[-1].status == 502
    assert "out of memory" in (serving_a.rows()[0].error or "")


def test_an_answer_without_an_end_is_broken_off(serving_a: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ftassets.gateway.relay.LONGEST_ANSWER", 50)
    assert (reply := serving_a.ask("whole:plain")).status_code == 502, reply.text
    assert "[DONE]" not in serving_a.ask("stream:plain", stream=True).text
    assert [row.status for row in serving_a.rows()] == [502, 502]
    assert all("more than 50 bytes" in (row.error or "") for row in serving_a.rows())
