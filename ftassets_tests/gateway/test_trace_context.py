"""A client's trace goes to the model server and comes back; what is none goes nowhere."""

import pytest
from starlette.datastructures import Headers

from ftassets.gateway.trace_context import trace_context
from ftassets_tests.gateway.conftest import Running

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_engine_and_the_client_see_the_client_s_trace(serving_a: Running) -> None:
    body = {"model": "support", "messages": [{"role": "user", "content": "headers"}]}
    headers = {"traceparent": PARENT, "tracestate": "vendor=1", "x-other": "stays"}
    answer = serving_a.client.post("/v1/chat/completions", json=body, headers=headers)
    assert (answer.headers["traceparent"], answer.headers["tracestate"]) == (PARENT, "vendor=1")
    seen = answer.json()["choices"][0]["message"]["content"]
    assert f"traceparent: {PARENT}\n" in seen
    assert "tracestate: vendor=1\n" in seen
    assert "x-other" not in seen
    with serving_a.client.stream("POST", "/v1/chat/completions", json={**body, "stream": True}, headers=headers) as stream:
        assert stream.headers["traceparent"] == PARENT
        stream.read()
    alone = serving_a.client.post("/v1/chat/completions", json=body)
    assert "traceparent" not in alone.headers
    assert "traceparent" not in alone.json()["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        f"{PARENT}-more",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
        PARENT[:-1],
    ],
)
def test_what_is_no_parent_is_no_trace(parent: str) -> None:
    assert trace_context(Headers({"traceparent": parent, "tracestate": "a=1"})) == {}


def test_a_state_that_is_too_long_or_no_text_is_left_out() -> None:
    assert trace_context(Headers({"traceparent": PARENT, "tracestate": "a" * 513})) == {"traceparent": PARENT}
    several = Headers(raw=[(b"traceparent", PARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")])
    assert trace_context(several) == {"traceparent": PARENT, "tracestate": "a=1,b=2"}
