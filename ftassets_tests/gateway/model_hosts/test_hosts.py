"""A version served elsewhere gets its traffic through the gateway like our own."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ftassets.backends.artifacts.external import ENDPOINT, publish_endpoint
from ftassets.backends.serving.base import ServingError
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts
from ftassets.domain.release.version import ExternalModel
from ftassets.testing.external_endpoint import KEY, VARIABLE, ExternalEndpoint, external_endpoint
from ftassets.testing.releases import attest, make_version
from ftassets_tests.gateway.conftest import LOOPS, Running
from ftassets_tests.gateway.test_chat import wait_until


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExternalEndpoint]:
    monkeypatch.setenv(VARIABLE, KEY)
    with external_endpoint() as endpoint:
        yield endpoint


def version_of(home: Home, there: ExternalEndpoint, loop: str = "support") -> str:
    model = ExternalModel(url=there.url, model="acme/large", api_key_env=VARIABLE)
    digest = publish_endpoint(model, LOOPS[loop], artifacts(home), home.work)
    attest(home, loop, digest)
    return digest


@pytest.fixture
def external(gateway: Running, there: ExternalEndpoint) -> str:
    """Production of the loop `support`."""
    digest = version_of(gateway.home, there)
    gateway.start(digest)
    return digest


def test_requests_reach_it_with_its_model_name_and_key_and_answers_come_back_as_ours(
    gateway: Running, external: str, there: ExternalEndpoint
) -> None:
    answer = gateway.ask("lights on", max_tokens=9)
    assert (answer.status_code, answer.headers["x-ftassets-version"]) == (200, external)
    assert answer.json()["choices"][0]["message"]["content"] == "elsewhere: lights on"
    assert answer.json()["model"] == "support"
    got = there.bodies[-1]
    assert (got["model"], got["max_tokens"], got["messages"][0]["role"]) == ("acme/large", 9, "system")
    assert gateway.host.stopped == []
    assert not gateway.host._servers, "no process is started for it"
    row = gateway.rows()[-1]
    assert (row.version, row.tokens_in, row.tokens_out) == (external, 40, 5)


def test_streams_pass_through(gateway: Running, external: str) -> None:
    text = gateway.ask("one two", stream=True).text
    assert text.count('"content"') >= 3
    assert text.rstrip().endswith("[DONE]")
    assert gateway.rows()[-1].answer == "elsewhere: one two "


def test_a_conversation_longer_than_our_engines_cache_is_passed_on(gateway: Running, external: str, there: ExternalEndpoint) -> None:
    assert gateway.ask("word " * 20_000, max_tokens=30_000).status_code == 200
    assert there.bodies[-1]["max_tokens"] == 30_000


def test_a_rollback_goes_back_to_it_and_a_staged_one_is_asked_on_loopback_without_its_key(
    gateway: Running, external: str, there: ExternalEndpoint
) -> None:
    candidate = make_version(gateway.home, "b")
    attest(gateway.home, "support", candidate, compared_with=external)
    gateway.start(candidate, weight=50)
    gateway.serving.ramp("support", 100, 60.0, "test", "better")
    assert gateway.ask().headers["x-ftassets-version"] == candidate
    gateway.serving.rollback("support", "test", "no better")
    assert gateway.ask().json()["choices"][0]["message"]["content"] == "elsewhere: hello"
    url = gateway.serving.stage("support", external, 60.0)
    assert url.startswith("http://127.0.0.1:")
    assert there.url not in url
    body = {"messages": [{"role": "user", "content": "staged"}], "max_tokens": 4}
    assert httpx.post(f"{url}/chat/completions", json=body, trust_env=False).status_code == 200
    assert there.bodies[-1]["model"] == "acme/large"
    from_a_page = httpx.post(f"{url}/chat/completions", content=json.dumps(body), headers={"content-type": "text/plain"}, trust_env=False)
    assert from_a_page.status_code == 415


def test_every_field_that_changes_the_answer_reaches_an_endpoint(gateway: Running, external: str, there: ExternalEndpoint) -> None:
    fields = {
        "temperature": 0.5, "top_p": 0.9, "frequency_penalty": -1.5, "presence_penalty": 1.0, "logit_bias": {"5": -100.0}, "stop": ["x"],
        "response_format": {"type": "json_object"}, "tool_choice": "none", "parallel_tool_calls": False, "logprobs": True, "seed": 3,
        "top_logprobs": 2, "reasoning_effort": "low", "verbosity": "low", "tools": [{"type": "function", "function": {"name": "f"}}],
    }  # fmt: skip
    reply = gateway.ask(**fields, store=True, user="u1", metadata={"who": "anna"})
    assert reply.status_code == 200
    assert there.bodies[-1] == there.bodies[-1] | fields
    assert not there.bodies[-1].keys() & {"store", "user", "metadata"}
    assert reply.headers["x-ftassets-ignored"] == "store, metadata"
    assert gateway.ask(n=2).status_code == 422
    assert gateway.ask(modalities=["audio"]).json()["error"]["param"] == "modalities"


@pytest.mark.parametrize(("theirs", "ours"), [(500, 502), (401, 502), (302, 502), (429, 429), (400, 400)])
def test_what_the_endpoint_refuses_is_said_without_the_key(
    gateway: Running, external: str, there: ExternalEndpoint, theirs: int, ours: int
) -> None:
    there.fail_with = theirs
    answer = gateway.ask()
    assert answer.status_code == ours
    error = gateway.rows()[-1].error or ""
    assert f"answered {theirs}" in error
    if ours < 500:
        assert f"answered {theirs}" in answer.json()["error"]["message"]
    else:
        assert there.url not in answer.text, "where it is and what went wrong there is no client's business"
    assert KEY not in answer.text + error
    assert answer.headers["retry-after"] == "11"


def test_an_endpoint_that_is_gone_is_502_at_once_then_503_with_the_reason_and_back_when_it_answers(
    gateway: Running, external: str, there: ExternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftassets.gateway.model_hosts.relay.PROBE_EVERY", 0.0)
    monkeypatch.setattr("ftassets.gateway.fleet.TRY_AGAIN", 0.5)
    there.fail_with = 503
    assert gateway.ask().status_code == 502
    reason = f"the endpoint at {there.url} answered with 503"
    wait_until(lambda: gateway.ask().status_code == 503 and reason in (gateway.rows()[-1].error or ""))
    assert there.url not in gateway.ask().text + gateway.client.get("/health").text
    there.fail_with = None
    wait_until(lambda: gateway.ask().status_code == 200)


def test_without_the_key_in_the_gateways_environment_it_does_not_start(
    gateway: Running, there: ExternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ServingError, match=f"environment variable {VARIABLE}"):
        gateway.start(version_of(gateway.home, there))
    assert there.bodies == []


def test_a_wrong_key_is_found_out_before_it_is_production(
    gateway: Running, there: ExternalEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "sk-wrong")
    with pytest.raises(ServingError, match="answered 401") as refused:
        gateway.start(version_of(gateway.home, there))
    assert "sk-wrong" not in str(refused.value)
    assert gateway.serving.state("support").production is None


def test_a_changed_endpoint_file_gets_no_traffic(gateway: Running, there: ExternalEndpoint) -> None:
    digest = version_of(gateway.home, there)
    path: Path = gateway.home.versions / digest / ENDPOINT
    path.write_text(path.read_text().replace("acme/large", "acme/other"))
    with pytest.raises(ServingError, match=f"{ENDPOINT} is missing or was changed"):
        gateway.start(digest)
    assert there.bodies == []


def test_two_loops_may_use_one_endpoint_with_settings_of_their_own(gateway: Running, there: ExternalEndpoint) -> None:
    assert version_of(gateway.home, there) != version_of(gateway.home, there, "other")
    assert KEY not in "".join(path.read_text() for path in gateway.home.versions.rglob("*.json"))
