"""Versions as adapters of a vLLM server, on a double with vLLM's routes and refusals."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ftassets.backends.serving.base import ServingError
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.probes import Probe
from ftassets.gateway.model_hosts import vllm_adapters
from ftassets.testing.doubles.vllm import VllmDouble, VllmServers
from ftassets.testing.releases import attest, attest_evaluated, loop_config, make_adapter, make_version
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import Clock, Running
from ftassets_tests.gateway.test_chat import wait_until

VLLM = {"engine": "vllm", "vllm": {"max_loras": 6, "arguments": ["--enforce-eager"]}}
LOOPS = {name: loop_config(name, serving=VLLM) for name in ("support", "other")}
Start = Callable[[dict[str, LoopConfig]], Running]


@pytest.fixture
def servers() -> Iterator[VllmServers]:
    servers = VllmServers()
    yield servers
    for name in list(servers.all()):
        servers.stop(name)


@pytest.fixture
def start(tmp_path: Path, servers: VllmServers) -> Iterator[Start]:
    with ExitStack() as stack:

        def gateway(loops: dict[str, LoopConfig]) -> Running:
            home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
            stack.callback(host.close)
            serving, url = stack.enter_context(run_gateway_in_thread(home, loops, host, vllm_servers=servers))
            client = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
            return Running(home, serving, url, host, client, Clock())

        yield gateway


def released(gateway: Running, content: str, loop: str = "support", **stated: object) -> str:
    digest = make_adapter(gateway.home, content, loop=loop, **stated)
    attest_evaluated(gateway.home, loop, digest)
    return digest


def only(servers: VllmServers):  # noqa: ANN201 - the one double
    [double] = servers.doubles.values()
    return double


def test_two_loops_share_one_base_and_each_version_answers_by_its_digest(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    digests = {loop: released(gateway, f"weights of {loop}", loop) for loop in LOOPS}
    for loop, digest in digests.items():
        gateway.serving.start(loop, digest, 100, 60.0, "test", "first")
    for loop, digest in digests.items():
        answer = gateway.ask("hi", model=loop)
        assert answer.json()["choices"][0]["message"]["content"] == f"weights of {loop} hi"
        assert answer.headers["x-ftassets-version"] == digest
    assert not gateway.host._servers, "no server is started for a version"
    assert len(servers.started) == 1
    assert {"--enable-lora", "--max-loras=6", "--max-lora-rank=16", "--gpu-memory-utilization=0.95", "--enforce-eager"} <= set(
        servers.started[0]
    )
    assert set(only(servers).loaded) == set(digests.values())
    assert gateway.ask("hi", stream=True).text.rstrip().endswith("[DONE]")
    body = only(servers).bodies[-1]
    assert (body["model"], "generation_config" in body) == (digests["support"], False)


def test_the_first_request_comes_before_traffic_and_a_version_that_is_out_is_unloaded(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    first, second = released(gateway, "a"), released(gateway, "b")
    gateway.start(first)
    assert only(servers).bodies[0]["messages"][0]["content"] == "ready?", "warmed before it has a share"
    gateway.start(second, weight=50)
    assert set(only(servers).loaded) == {first, second}
    gateway.serving.rollback("support", "test", "worse")
    wait_until(lambda: set(only(servers).loaded) == {first})
    assert only(servers).log == [("load", first), ("load", second), ("unload", second)]


def test_an_adapter_that_a_restarted_server_has_forgotten_is_loaded_again(
    start: Start, servers: VllmServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ftassets.gateway.model_hosts.relay.PROBE_EVERY", 0.0)
    gateway = start(LOOPS)
    digest = released(gateway, "a")
    gateway.start(digest)
    only(servers).loaded.clear()
    wait_until(lambda: digest in only(servers).loaded)
    wait_until(lambda: gateway.ask("hi").status_code == 200)


def test_what_the_base_cannot_serve_is_refused_with_the_reason(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    other = "1" * 64
    cases = {
        "has rank 64, and the server takes up to 16: raise serving.vllm.max_lora_rank": released(gateway, "wide", rank=64),
        "tokenizer or chat template of version .* are not those of its base": released(gateway, "words", tokenizer_digest=other),
        "is not an adapter that vLLM could load": released(gateway, "lone", base_digest=None),
    }
    for why, digest in cases.items():
        with pytest.raises(ServingError, match=why):
            gateway.start(digest)
    assert servers.started == []
    assert gateway.serving.state("support").phase == "idle"


def test_why_vllm_does_not_load_an_adapter_or_does_not_start_is_said(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    servers._make = lambda: VllmDouble(max_lora_rank=4)
    with pytest.raises(ServingError, match="LoRA rank 8 is greater than max_lora_rank 4"):
        gateway.start(released(gateway, "a"))
    for name in list(servers.all()):
        servers.stop(name)
    servers.fails = "its server ended (fatal): no memory"
    with pytest.raises(ServingError, match="vLLM with the base .*: its server ended .fatal.: no memory"):
        gateway.start(released(gateway, "b"))


def test_a_changed_adapter_is_never_loaded(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    digest = released(gateway, "a")
    (gateway.home.versions / digest / "adapter" / "adapter_model.safetensors").write_text("changed")
    with pytest.raises(ServingError, match=r"adapter_model.safetensors is missing or was changed"):
        gateway.start(digest)
    assert servers.started == []


def test_a_server_without_a_version_is_stopped_after_a_while(start: Start, servers: VllmServers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_adapters, "UNUSED_FOR", 0.1)
    gateway = start(LOOPS)
    digest = make_adapter(gateway.home, "a", loop="support")
    gateway.serving.stage("support", digest, 60.0)
    assert len(servers.all()) == 1
    gateway.serving.unstage("support", digest)
    wait_until(lambda: not servers.all())


def test_a_server_of_others_is_asked_by_its_url(start: Start, servers: VllmServers) -> None:
    servers.start("0" * 64, lambda here, port: [])
    wait_until(lambda: servers._servers["0" * 64][0].started)
    there = only(servers)
    gateway = start({"support": loop_config(serving={"engine": "vllm", "url": f"{servers.all()['0' * 64].url}/v1"})})
    digest = released(gateway, "a")
    gateway.start(digest)
    assert gateway.ask("hi").json()["choices"][0]["message"]["content"] == "a hi"
    assert (set(there.loaded), len(servers.started)) == ({digest}, 1)


def test_an_untuned_base_answers_under_its_own_name(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    base = make_version(gateway.home, "base", kind="base")
    attest_evaluated(gateway.home, "support", base)
    gateway.start(base)
    assert gateway.ask("hi").json()["choices"][0]["message"]["content"] == "base hi"
    assert only(servers).loaded == {}


def test_merged_weights_have_a_server_of_their_own(start: Start, servers: VllmServers) -> None:
    gateway = start({"support": loop_config(serving={"engine": "vllm", "vllm": {"merged": True}})})
    digest = released(gateway, "a")
    shutil.rmtree(gateway.home.root / "staging-a", ignore_errors=True)
    gateway.start(digest)
    assert list(gateway.host._servers) == [digest]
    assert servers.started == []


def test_merged_weights_are_sampled_as_in_evaluation(start: Start) -> None:
    loop = loop_config(serving={"engine": "vllm", "vllm": {"merged": True}})
    gateway = start({"support": loop.model_copy(update={"task": loop.task.model_copy(update={"temperature": 0.7})})})
    own = {"merged/generation_config.json": '{"top_k": 20, "repetition_penalty": 2.0}'}
    digest = make_version(gateway.home, "a", "support", texts=own, generation={"temperature": 0.7, "max_tokens": 32})
    attest_evaluated(gateway.home, "support", digest)
    gateway.start(digest)
    asked = json.loads(gateway.ask("echo").json()["choices"][0]["message"]["content"])
    decoded = {name: asked.get(name) for name in ("temperature", "top_k", "top_p", "repetition_penalty")}
    assert decoded == {"temperature": 0.7, "top_k": 20, "top_p": 1.0, "repetition_penalty": None}


QUESTIONS = [f"question {number}" for number in range(8)]


def evaluated(gateway: Running, content: str) -> str:
    """A released version whose eval report has probes: the answers of its merged copy, and of the base."""
    digest = make_adapter(gateway.home, content, loop="support")
    asked = {each: Asked.model_validate({"messages": [{"role": "user", "content": each}]}) for each in QUESTIONS}
    probes = [Probe(asked=asked[each], merged=f"{content} {each}", base=f"base {each}") for each in QUESTIONS]
    attest_evaluated(gateway.home, "support", digest, probes)
    return digest


def test_an_engine_that_applies_the_adapter_passes_its_probes(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    gateway.start(evaluated(gateway, "tuned"))
    assert sorted(body["messages"][-1]["content"] for body in only(servers).bodies[1:9]) == QUESTIONS
    assert {body["temperature"] for body in only(servers).bodies} == {0.0}
    assert gateway.ask("hi").json()["choices"][0]["message"]["content"] == "tuned hi"


@pytest.mark.parametrize(
    ("applies", "why"),
    [
        (lambda weights, prompt: f"base {prompt}", "8 of 8 probe prompts as the untuned base does: the adapter was not applied"),
        (
            lambda weights, prompt: f"half of {weights}",
            "agree with the merged copy's in 0.*, and 0.8 are needed",
        ),  # modules that are dropped, lm_head
    ],
)
def test_an_adapter_that_the_engine_drops_gets_no_traffic(
    start: Start, servers: VllmServers, applies: Callable[[str, str], str], why: str
) -> None:
    servers._make = lambda: VllmDouble(applies=applies)
    gateway = start(LOOPS)
    digest = evaluated(gateway, "tuned")
    for weight in (0, 5, 100):
        with pytest.raises(ServingError, match=why if weight else "no production"):
            gateway.start(digest, weight=weight)
    assert gateway.serving.state("support").phase == "idle"


def test_without_its_report_an_adapter_gets_no_traffic_for_nothing_can_be_asked(start: Start) -> None:
    gateway = start(LOOPS)
    digest = make_adapter(gateway.home, "tuned", loop="support")
    attest(gateway.home, "support", digest)
    with pytest.raises(ServingError, match="nothing tells whether the engine applies its adapter.*is not there"):
        gateway.start(digest)


def test_an_engine_that_drops_the_adapter_later_is_not_ramped_but_may_be_lowered(start: Start, servers: VllmServers) -> None:
    gateway = start(LOOPS)
    gateway.start(evaluated(gateway, "first"))
    candidate = evaluated(gateway, "second")
    gateway.start(candidate, weight=20)
    only(servers).applies = lambda weights, prompt: f"base {prompt}"
    with pytest.raises(ServingError, match="the adapter was not applied"):
        gateway.serving.ramp("support", 100, 60.0, "test", "better")
    assert gateway.serving.ramp("support", 5, 60.0, "test", "less").weights[candidate] == 5
    assert gateway.serving.rollback("support", "test", "worse").candidate is None
