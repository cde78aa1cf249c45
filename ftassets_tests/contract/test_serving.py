"""The contract of a serving backend, on the gateway with each engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ftassets.config.home import Home
from ftassets.testing.contracts.serving import Backend, ServingContract
from ftassets.testing.doubles.vllm import VllmServers
from ftassets.testing.external_endpoint import KEY, VARIABLE, external_endpoint
from ftassets.testing.releases import loop_config, make_adapter
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


class TestGateway(ServingContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
        with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
            yield Backend(home, serving)
        host.close()


class TestVllm(ServingContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        home, host, servers = Home(tmp_path / "home"), ThreadHost(stub_engine()), VllmServers()
        loops = {"support": loop_config(serving={"engine": "vllm"})}
        with run_gateway_in_thread(home, loops, host, vllm_servers=servers) as (serving, _):
            yield Backend(home, serving, make_adapter)
        for name in list(servers.all()):
            servers.stop(name)


class TestUrl(ServingContract):
    @pytest.fixture
    def backend(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
        monkeypatch.setenv(VARIABLE, KEY)
        home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
        with external_endpoint() as there:
            loops = {"support": loop_config(serving={"engine": "url", "url": there.url, "api_key_env": VARIABLE})}
            with run_gateway_in_thread(home, loops, host) as (serving, _):
                yield Backend(home, serving)
