"""When evidence, keys and people count: to gain traffic, and not to keep it or to go back to it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from ftassets.backends.control.releases import Releases
from ftassets.backends.serving.base import Refused
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.signer.folder import FolderSigner
from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.config.profiles import control
from ftassets.domain.release.approval import Approval, Override, approval_statement
from ftassets.testing.releases import attest, loop_config, make_version, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import Clock, Running

RULES = {"people": {"anna": "lead", "ben": "intern"}, "approve": ["lead"], "override": ["lead"]}
PROPOSE = loop_config(mode="propose", release=RULES)
AUTO = loop_config()
RunGateway = Callable[..., contextlib.AbstractContextManager[Running]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunGateway]:
    """Starts gateways on one home, one after the other."""
    home, clock = Home(tmp_path / "home"), Clock()
    host = ThreadHost(stub_engine())

    @contextlib.contextmanager
    def start(loop: LoopConfig = AUTO) -> Iterator[Running]:
        with run_gateway_in_thread(home, {"support": loop}, host, clock) as (serving, url), httpx.Client(base_url=url) as client:
            yield Running(home, serving, url, host, client, clock)

    yield start
    host.close()


def ramp(serving: GatewayServing, weight: int) -> None:
    serving.ramp("support", weight, 60, "test", "because")


def answers(gateway: Running) -> bool:
    """Whether production answers as soon as its server is up."""
    until = time.time() + 10
    while (code := gateway.ask().status_code) == 503 and time.time() < until:
        time.sleep(0.02)
    return code == 200


def expire(home: Home, digest: str, clock: Clock) -> None:
    attest(home, "support", digest, expires_at=int(clock.now) - 1)


def revoke(home: Home) -> None:
    """Revoke the key that signed everything so far; later releases are signed by a new one."""
    signer = FolderSigner(home.keys)
    old = signer.key_id
    signer.rotate()
    signer.revoke(old, "laptop lost")


def approve(home: Home, version: str, **changes: str) -> None:
    said = Approval(
        loop="support", version=version, report_digest="e" * 64, name="anna", role="lead", reason="looks right", issued_at=int(time.time())
    ).model_copy(update=changes)
    Releases(control(home), FolderSigner(home.keys)).write("support", version, "approval", approval_statement(said))


def test_an_expired_release_neither_starts_nor_grows_and_everything_else_goes_on(run: RunGateway) -> None:
    with run(AUTO) as gateway:
        home, serving = gateway.home, gateway.serving
        first, second = released(home, "a"), released(home, "b")
        expire(home, first, gateway.clock)
        with pytest.raises(Refused, match="has expired"):
            gateway.start(first)
        attest(home, "support", first)
        gateway.start(first)
        gateway.start(second, 20)
        expire(home, second, gateway.clock)
        with pytest.raises(Refused, match="has expired"):
            ramp(serving, 50)
        serving.renew("support", 60)
        ramp(serving, 10)  # lowering it
        attest(home, "support", second)
        ramp(serving, 100)
        expire(home, first, gateway.clock)
        expire(home, second, gateway.clock)
        assert serving.rollback("support", "test", "bad").production == first
        gateway.start(second, 50)  # it was production before
        ramp(serving, 100)
    with run(AUTO) as gateway:
        assert answers(gateway)
        assert gateway.serving.state("support").production == second


def slow_restart(gateway: Running, digest: str) -> None:
    """End a version's server; the next one takes a second to start."""
    make_app = gateway.host.make_app

    def slowly(folder: Path) -> ASGIApp:
        time.sleep(1.0 if folder.name == digest else 0.0)
        return make_app(folder)

    gateway.host.make_app = slowly
    gateway.host.kill(digest)
    until = time.time() + 10
    while gateway.serving.health()["versions"][digest]["ready"] and time.time() < until:
        time.sleep(0.01)


@pytest.mark.parametrize("verb", ["start", "ramp"])
def test_a_release_that_expires_while_the_server_starts_gains_nothing(run: RunGateway, verb: str) -> None:
    with run(AUTO) as gateway, ThreadPoolExecutor(1) as pool:
        first, second = released(gateway.home, "a"), released(gateway.home, "b")
        gateway.start(first)
        if verb == "ramp":
            gateway.start(second, 3)
        else:
            gateway.serving.stage("support", second, 60)
        slow_restart(gateway, second)
        raised = pool.submit(ramp, gateway.serving, 45) if verb == "ramp" else pool.submit(gateway.start, second, 45)
        time.sleep(0.3)
        expire(gateway.home, second, gateway.clock)
        with pytest.raises(Refused, match="has expired"):
            raised.result(20)
        assert gateway.serving.state("support").weights.get(second, 0) == (3 if verb == "ramp" else 0)


def test_what_began_as_lowering_a_weight_raises_none(run: RunGateway) -> None:
    with run(AUTO) as gateway, ThreadPoolExecutor(2) as pool:
        first, second = released(gateway.home, "a"), released(gateway.home, "b")
        gateway.start(first)
        gateway.start(second, 50)
        expire(gateway.home, second, gateway.clock)
        slow_restart(gateway, second)
        lowered = [pool.submit(ramp, gateway.serving, weight) for weight in (3, 45)]
        said = [str(each.exception(20) or "") for each in lowered]
        assert gateway.serving.state("support").weights[second] == 3
        assert said in (["", ""], ["", f"the weight of {second[:12]} changed to 3 % meanwhile: check its state and ramp again"])


def test_a_canary_that_was_never_production_is_no_version_to_go_back_to(run: RunGateway) -> None:
    with run(AUTO) as gateway:
        gateway.start(released(gateway.home, "a"))
        canary = released(gateway.home, "b")
        gateway.start(canary, 20)
        gateway.serving.rollback("support", "test", "bad")
        expire(gateway.home, canary, gateway.clock)
        with pytest.raises(Refused, match="has expired"):
            gateway.start(canary, 20)


def test_production_of_a_revoked_key_serves_on_through_a_restart_but_nothing_of_it_is_raised(run: RunGateway) -> None:
    with run(AUTO) as gateway:
        home = gateway.home
        first, second, third = released(home, "a"), released(home, "b"), released(home, "c")
        gateway.start(first)
        gateway.start(second, 100)
        gateway.start(third, 20)
        revoke(home)
        with pytest.raises(Refused, match="laptop lost"):
            ramp(gateway.serving, 50)
        with pytest.raises(Refused, match="laptop lost"):
            gateway.serving.renew("support", 60)  # so its lease runs out
        assert gateway.ask().status_code == 200
    with run(AUTO) as gateway:
        state = gateway.serving.state("support")
        assert (state.production, state.candidate, state.standby) == (second, None, None)
        assert answers(gateway)
        with pytest.raises(Refused, match="laptop lost"):
            gateway.start(first, 20)  # it was production before
        attest(gateway.home, "support", first)
        gateway.start(first, 100)
        with pytest.raises(Refused, match="laptop lost"):
            gateway.serving.rollback("support", "test", "bad")


def test_a_loop_that_proposes_starts_nothing_without_a_valid_yes(run: RunGateway) -> None:
    with run(PROPOSE) as gateway:
        home = gateway.home
        digest, other = released(home, "a"), make_version(home, "b")
        with pytest.raises(Refused, match=r"waits for approval: ftassets approve support [0-9a-f]{12} --name NAME --reason TEXT"):
            gateway.start(digest)
        wrong: list[tuple[dict[str, str], str]] = [
            ({"role": "intern", "name": "ben"}, "ben is intern"),
            ({"role": "intern"}, "anna signed as intern"),
            ({"report_digest": "f" * 64}, "for report ffffffffffff"),
            ({"loop": "x"}, "for loop 'x'"),
        ]
        for changes, why in wrong:
            approve(home, digest, **changes)
            with pytest.raises(Refused, match=f"does not count: .*{why}"):
                gateway.start(digest)
        copy_approval(home, other, digest)
        with pytest.raises(Refused, match=f"does not count: the approval is for version {other[:12]}"):
            gateway.start(digest)
        approve(home, digest)
        edit(Path(Releases(control(home), FolderSigner(home.keys)).uri("support", digest, "approval")))
        with pytest.raises(Refused, match="changed afterwards"):
            gateway.start(digest)
        assert gateway.serving.state("support").phase == "idle"
        approve(home, digest)
        gateway.start(digest)
        assert gateway.serving.journal()[-1].reason == "because; approved by anna (lead): looks right"


def test_an_approval_whose_key_was_revoked_does_not_count(run: RunGateway) -> None:
    with run(PROPOSE) as gateway:
        digest = released(gateway.home, "a")
        approve(gateway.home, digest)
        revoke(gateway.home)
        attest(gateway.home, "support", digest)  # released again, by the new key
        with pytest.raises(Refused, match="the approval of version [0-9a-f]{12} does not count: the key .*laptop lost"):
            gateway.start(digest)
        approve(gateway.home, digest)
        gateway.start(digest)


def test_an_override_is_in_the_journal_and_raises_only_until_it_ends(run: RunGateway) -> None:
    with run(AUTO) as gateway:
        home, now = gateway.home, int(gateway.clock.now)
        gateway.start(released(home, "a"))
        digest = make_version(home, "b")
        said = Override(
            loop="support", version=digest, report_digest="e" * 64, name="anna", role="lead", reason="cannot wait", issued_at=now,
            expires_at=now + 100, gates={"exact_match_better": "FAIL"},
        )  # fmt: skip
        attest(home, "support", digest, verdict="NOT ENOUGH DATA", override=said.model_dump())
        with pytest.raises(Refused, match="does not name exact_match_better with its verdict NOT ENOUGH DATA"):
            gateway.start(digest, 20)
        attest(home, "support", digest, verdict="FAIL", override=said.model_dump())
        gateway.start(digest, 20, lease=1000)
        assert gateway.serving.journal()[-1].reason == "because; exact_match_better overridden by anna (lead): cannot wait"
        gateway.clock.now += 200
        with pytest.raises(Refused, match="the override has expired"):
            ramp(gateway.serving, 50)
        assert gateway.serving.state("support").weight == 20


def copy_approval(home: Home, source: str, target: str) -> None:
    approve(home, source)
    releases = Releases(control(home), FolderSigner(home.keys))
    Path(releases.uri("support", target, "approval")).write_bytes(Path(releases.uri("support", source, "approval")).read_bytes())


def edit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b'"payload": "') + 40] ^= 1
    path.write_bytes(bytes(content))


def test_a_version_compared_with_another_production_gets_no_share(run: RunGateway) -> None:
    with run() as gateway:
        first = released(gateway.home, "a")
        gateway.start(first)
        second = make_version(gateway.home, "b")
        attest(gateway.home, "support", second, compared_with="f" * 64)
        with pytest.raises(Refused, match="was compared with ffffffffffff, production is"):
            gateway.start(second)
        attest(gateway.home, "support", second, compared_with=first)
        gateway.start(second)
