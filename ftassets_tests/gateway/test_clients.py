"""Clients with API keys, as the official client of OpenAI's API and a hostile one meet them."""

import json
import time

import httpx
import openai
import pytest

from ftassets.backends.control.clients import KEY, change_clients
from ftassets.config.profiles import control
from ftassets.domain.clients import new_key
from ftassets_tests.gateway.conftest import Running

WAIT = 3.0  # seconds in which a gateway has seen a change


def add(running: Running, name: str, **limits: object) -> str:
    key = f"fta_{name}"
    change_clients(control(running.home), lambda keys: keys.added(new_key(name, key, 0.0, **limits), 0.0))  # type: ignore[arg-type]
    return key


def until(running: Running, status: int, key: str | None = None, path: str = "/v1/models") -> httpx.Response:
    end = time.monotonic() + WAIT
    while True:
        reply = running.client.get(path, headers={} if key is None else {"authorization": f"Bearer {key}"})
        if reply.status_code == status or time.monotonic() > end:
            assert reply.status_code == status, reply.text
            return reply
        time.sleep(0.05)


def test_without_clients_everybody_may_ask_and_from_the_first_on_nobody_without_a_key(serving_a: Running) -> None:
    assert serving_a.ask("hello").status_code == 200
    key = add(serving_a, "web")
    refused = until(serving_a, 401)
    assert refused.json()["error"]["code"] == "invalid_api_key"
    assert refused.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/chat/completions", "/v1/feedback"):
        assert serving_a.client.post(path, json={}).status_code == 401, "before the body is looked at"
    for header in ("", "Bearer", f"Basic {key}", f"Bearer {key}x", key, "Bearer \xff"):
        assert serving_a.client.get("/v1/models", headers={"authorization": header.encode("latin-1")}).status_code == 401, header
    for path in ("/health", "/livez", "/readyz", "/metrics"):
        assert serving_a.client.get(path).status_code == 200, "supervisors have no key"
    assert until(serving_a, 200, key).json()["data"][0]["id"] == "support"


def test_the_official_client_asks_streams_and_is_told_in_its_own_words(serving_a: Running) -> None:
    key = add(serving_a, "web", loops=["support"])
    until(serving_a, 200, key)
    until(serving_a, 401)
    messages = [{"role": "user", "content": "hello"}]
    with openai.OpenAI(base_url=f"{serving_a.url}/v1", api_key=key, max_retries=0) as client:
        assert client.chat.completions.create(model="support", messages=messages).choices[0].message.content  # type: ignore[arg-type]
        assert list(client.chat.completions.create(model="support", messages=messages, stream=True))  # type: ignore[arg-type]
        assert [row.client for row in serving_a.rows()] == ["web", "web"]
        assert [model.id for model in client.models.list()] == ["support"]
        for ask in (lambda: client.models.retrieve("other"), lambda: client.chat.completions.create(model="other", messages=messages)):  # type: ignore[arg-type]
            with pytest.raises(openai.NotFoundError, match="there is no loop 'other' for web"):
                ask()
    with (
        openai.OpenAI(base_url=f"{serving_a.url}/v1", api_key="sk-wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_requests_and_tokens_of_a_minute_are_limited_by_client_whichever_key_it_uses(serving_a: Running) -> None:
    key = add(serving_a, "batch", requests=2)
    tokens = add(serving_a, "chatty", tokens=15)  # an answer of the stub takes 10
    until(serving_a, 401)
    change_clients(control(serving_a.home), lambda keys: keys.rotated("batch", "fta_second", 1.0, 1e12))
    until(serving_a, 200, "fta_second")
    assert until(serving_a, 200, key).status_code == 200
    refused = until(serving_a, 429, key)
    assert refused.json()["error"]["message"] == "batch may use 2 requests a minute"
    assert refused.headers["retry-after"] == "30"
    serving_a.clock.now += 30
    assert until(serving_a, 200, key).status_code == 200

    def ask() -> httpx.Response:
        body = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}
        return serving_a.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {tokens}"})

    assert [ask().status_code for _ in range(3)] == [200, 200, 429]
    assert len([row for row in serving_a.rows() if row.status == 200]) == 2, "what is refused is no row"


def test_an_answer_is_repeated_to_its_own_client_only(serving_a: Running) -> None:
    one, other = add(serving_a, "one"), add(serving_a, "other")
    until(serving_a, 200, other)
    until(serving_a, 401)
    body = {"model": "support", "messages": [{"role": "user", "content": "hello"}], "user": "u"}
    replies = [
        serving_a.client.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}", "idempotency-key": "same"})
        for key in (one, one, other)
    ]
    ids = [reply.json()["id"] for reply in replies]
    assert ids[0] == ids[1] != ids[2]


def test_a_revoked_key_and_keys_that_cannot_be_read_let_nobody_in(serving_a: Running) -> None:
    key = add(serving_a, "web")
    until(serving_a, 401)
    until(serving_a, 200, key)
    change_clients(control(serving_a.home), lambda keys: keys.revoked("web", serving_a.clock.now))
    until(serving_a, 401, key)
    document = json.loads(control(serving_a.home).read(KEY) or b"")
    control(serving_a.home).write(KEY, b"not JSON")
    assert until(serving_a, 503, key).json()["error"]["code"] == "keys_unreadable"
    control(serving_a.home).write(KEY, json.dumps(document).encode())
    until(serving_a, 401, key)
