"""The contract of a serving backend, on the gateway."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ftassets.config.home import Home
from ftassets.testing.contracts.serving import Backend, ServingContract
from ftassets.testing.releases import loop_config
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


class TestGateway(ServingContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[Backend]:
        home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
        with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
            yield Backend(home, serving)
        host.close()
