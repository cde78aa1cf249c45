"""The client of the gateway's admin API."""

import pytest

from ftassets.backends.serving.base import ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.config.home import Home
from ftassets.testing.releases import loop_config
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


def test_gateway_that_is_not_there_says_how_to_start_it(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(ServingError, match="ftassets up"):
        GatewayServing(home).state("support")
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
        assert serving.state("support").phase == "idle"
    with pytest.raises(ServingError, match=r"gateway not reachable at http://127.0.0.1:\d+ .*`ftassets up`"):
        serving.state("support")
