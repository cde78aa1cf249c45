"""What every serving backend must do; today there is one: the gateway."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ftassets.backends.serving.base import Refused, Serving, ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.config.home import Home
from ftassets.testing.releases import loop_config, make_version, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread


@dataclass
class Backend:
    home: Home
    serving: Serving


@pytest.fixture
def backend(tmp_path) -> Iterator[Backend]:
    home, host = Home(tmp_path / "home"), ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
        yield Backend(home, serving)
    host.close()


def test_a_loop_from_its_first_version_to_a_rollback(backend):
    serving, first, second = backend.serving, released(backend.home, "a"), released(backend.home, "b")
    assert serving.state("support").phase == "idle"
    assert serving.start("support", first, 5, 60, "run:1", "first").weights == {first: 100}
    assert serving.start("support", second, 5, 60, "run:2", "canary").weights == {second: 5, first: 95}
    assert serving.ramp("support", 50, 60, "run:3", "looks good").weights == {second: 50, first: 50}
    lease = serving.state("support").lease_until
    assert serving.renew("support", 120).lease_until > lease
    promoted = serving.ramp("support", 100, 60, "run:4", "all looks good")
    assert (promoted.production, promoted.standby) == (second, first)
    assert serving.rollback("support", "cli", "users complain").production == first
    assert serving.state("support").rejected == (second,)
    journal = serving.journal()
    assert [transition.number for transition in journal] == [1, 2, 3, 4, 5]
    assert [(transition.action, transition.by) for transition in journal] == [
        ("start", "run:1"),
        ("start", "run:2"),
        ("ramp", "run:3"),
        ("promote", "run:4"),
        ("rollback", "cli"),
    ]
    assert journal[-1].state == serving.state("support")
    assert serving.journal(4) == journal[4:]


def test_what_is_not_released_is_refused_and_what_is_impossible_says_so(backend):
    serving = backend.serving
    with pytest.raises(Refused, match="no release attestation"):
        serving.start("support", make_version(backend.home, "a"), 5, 60, "cli", "")
    with pytest.raises(ServingError, match="nothing to roll back to"):
        serving.rollback("support", "cli", "")
    with pytest.raises(ServingError, match="no candidate"):
        serving.ramp("support", 50, 60, "cli", "")
    with pytest.raises(ServingError, match="no loop 'nobody'"):
        serving.state("nobody")
    assert serving.state("support").phase == "idle"


def test_staging_gives_a_url_and_ends(backend):
    digest = make_version(backend.home, "a")
    assert backend.serving.stage("support", digest, 60).startswith("http://127.0.0.1:")
    assert digest in backend.serving.state("support").staged
    assert backend.serving.state("support").weights == {}
    assert backend.serving.health()["versions"][digest]["ready"]
    backend.serving.unstage("support", digest)
    backend.serving.unstage("support", digest)
    assert backend.serving.state("support").staged == {}


def test_gateway_that_is_not_there_says_how_to_start_it(tmp_path):
    home = Home(tmp_path)
    with pytest.raises(ServingError, match="ftassets up"):
        GatewayServing(home).state("support")
    host = ThreadHost(stub_engine())
    with run_gateway_in_thread(home, {"support": loop_config()}, host) as (serving, _):
        assert serving.state("support").phase == "idle"
    with pytest.raises(ServingError, match=r"gateway not reachable at http://127.0.0.1:\d+ .*`ftassets up`"):
        serving.state("support")
