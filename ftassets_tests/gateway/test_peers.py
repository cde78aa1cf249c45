"""Two gateways on one PostgreSQL: a change made at one is in force at both, and what each does when the other or the database is gone."""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import httpx
import pytest

from ftassets.backends.control.replicas import read_beats
from ftassets.backends.serving.base import Refused, ServingError
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.config.home import Home
from ftassets.config.profiles import CONTROL_URL, TRAFFIC_URL, control, traffic_log
from ftassets.domain.replicas import SILENT
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.gateway import peers, router
from ftassets.gateway.server import REPLICA, CannotServe
from ftassets.testing.postgres_server import PostgresServer
from ftassets.testing.releases import attest, loop_config, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.test_chat import wait_until

PATIENCE = 2
LOOPS = {"support": loop_config("support", rollout={"server_patience": f"{PATIENCE}s"})}


@dataclass
class Replica:
    """One of the gateways, with model servers of its own."""

    home: Home
    serving: GatewayServing
    host: ThreadHost
    client: httpx.Client

    def ask(self, user: str = "anna") -> httpx.Response:
        body = {"model": "support", "messages": [{"role": "user", "content": "hello"}], "user": user}
        return self.client.post("/v1/chat/completions", json=body)

    def answering(self) -> set[str]:
        """The versions that answer 40 users."""
        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(lambda number: self.ask(f"user {number}"), range(40)))
        assert [reply.status_code for reply in replies] == [200] * 40
        return {reply.headers["x-ftassets-version"] for reply in replies}

    def metric(self, name: str) -> float:
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A server for control alone, so that it can be away while answers are recorded."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def shared(postgres: PostgresServer, database: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTASSETS_PROFILE", "production")
    monkeypatch.setenv(TRAFFIC_URL, postgres.account())
    monkeypatch.setenv(CONTROL_URL, database.account())


def beside(home: Home, name: str) -> Home:
    """Another home that has the versions and keys of this one."""
    other = Home(home.root.parent / name)
    other.root.mkdir()
    for folder in (home.versions, home.keys):
        folder.mkdir(parents=True, exist_ok=True)
        (other.root / folder.name).symlink_to(folder)
    return other


@contextmanager
def replica(home: Home, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replica]:
    monkeypatch.setenv(REPLICA, name)
    host = ThreadHost(stub_engine())
    try:
        running = run_gateway_in_thread(home, LOOPS, host)
        with running as (serving, url), httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
            yield Replica(home, serving, host, client)
    finally:
        host.close()


@pytest.fixture
def pair(home: Home, shared: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Replica, Replica]]:
    """Two gateways, and nothing that serves yet."""
    with ExitStack() as stack:
        one = stack.enter_context(replica(home, "one", monkeypatch))
        two = stack.enter_context(replica(beside(home, "two"), "two", monkeypatch))
        wait_until(lambda: one.metric("ftassets_gateways") == two.metric("ftassets_gateways") == 2, 10)
        yield one, two


@pytest.fixture
def canary(pair: tuple[Replica, Replica]) -> tuple[str, str]:
    """Production, and a candidate with half of the traffic, started at different gateways."""
    production, candidate = released(pair[0].home, "a"), released(pair[0].home, "b")
    pair[0].serving.start("support", production, 100, 600.0, "test", "first")
    wait_until(lambda: pair[1].ask().status_code == 200, 10)
    pair[1].serving.start("support", candidate, 50, 600.0, "test", "canary")
    return production, candidate


def test_a_change_at_either_is_in_force_at_both_when_it_is_answered(pair, canary) -> None:
    production, candidate = canary
    for each in pair:
        assert each.answering() == {production, candidate}
        assert each.serving.state("support").weights == {production: 50, candidate: 50}
    same = [[each.ask(f"user {number}").headers["x-ftassets-version"] for number in range(20)] for each in pair]
    assert same[0] == same[1], "a user stays on a version whichever gateway is asked"
    began = time.monotonic()
    pair[0].serving.rollback("support", "test", "drill")
    took = time.monotonic() - began
    assert pair[1].answering() == {production}
    assert took < 1.0
    assert [each.action for each in pair[1].serving.journal()] == ["start", "start", "rollback"]
    assert pair[0].serving.journal() == pair[1].serving.journal()
    assert {row.version for row in traffic_log(pair[0].home).exchanges("support")} == {production, candidate}


def test_health_and_metrics_name_the_gateways_with_what_they_have(pair, canary) -> None:
    for each, name in zip(pair, ("one", "two"), strict=True):
        wait_until(lambda each=each: [other["revision"] for other in each.serving.health()["replicas"]] == [2, 2], 5)
        health = each.serving.health()
        assert [(other["name"], other["live"]) for other in health["replicas"] if other["this"]] == [(name, True)]
        assert health["control"] == {"ready": True, "revision": 2}
        assert each.metric("ftassets_revision") == 2
        assert each.metric("ftassets_control_age_seconds") < 2
        assert "replicas" not in each.client.get("/health").json(), "names of machines are for those who run them"


def test_all_traffic_comes_when_every_gateway_has_a_server(pair, canary) -> None:
    production, candidate = canary
    pair[1].serving.rollback("support", "test", "drill")
    another = released(pair[0].home, "c")
    with pytest.raises(Refused, match="was compared with"):
        pair[0].serving.start("support", another, 100, 600.0, "test", "at once")
    attest(pair[0].home, "support", another, compared_with=production)
    pair[0].serving.start("support", another, 100, 600.0, "test", "at once")
    for each in pair:
        assert each.answering() == {another}
    pair[1].serving.rollback("support", "test", "back to the standby")
    for each in pair:
        assert each.answering() == {production}


def test_changes_at_both_at_once_are_made_one_after_the_other(pair, canary) -> None:
    def ramp(number: int) -> int:
        try:
            return pair[number % 2].serving.ramp("support", 51 + number, 600.0, "test", "at once").weight
        except ServingError:  # what it was decided on has changed: nothing is made of it
            return 0

    with ThreadPoolExecutor(8) as pool:
        made = [weight for weight in pool.map(ramp, range(16)) if weight]
    journal = pair[0].serving.journal()
    assert [each.number for each in journal] == list(range(1, len(journal) + 1))
    assert [each.state.weight for each in journal if each.action == "ramp"][-1] == pair[1].serving.state("support").weight
    assert sorted(each.state.weight for each in journal if each.action == "ramp") == sorted(made)
    assert made


def test_a_lease_that_one_renews_holds_at_the_other(pair, canary) -> None:
    _, candidate = canary
    pair[0].serving.ramp("support", 60, 1.5, "test", "short")
    for _ in range(4):
        time.sleep(0.7)
        pair[0].serving.renew("support", 1.5)
    assert pair[1].serving.state("support").candidate == candidate
    assert [each.action for each in pair[1].serving.journal()] == ["start", "start", "ramp"]
    wait_until(lambda: pair[1].serving.state("support").candidate is None, 5)
    time.sleep(0.5)
    assert [each.action for each in pair[0].serving.journal()][3:] == ["expire"], "it ends once"


def test_without_the_database_production_is_answered_and_the_canary_until_its_lease_ends(pair, canary, database) -> None:
    production, candidate = canary
    pair[0].serving.ramp("support", 60, 4.0, "test", "short")
    database.stop()
    try:
        assert {production, candidate} == pair[1].answering()
        wait_until(lambda: pair[0].answering() == pair[1].answering() == {production}, 10)
        with pytest.raises(ServingError, match="could not be written down|nothing was changed"):
            pair[0].serving.stage("support", candidate, 60.0)
        wait_until(lambda: pair[1].serving.health()["control"]["ready"] is False, 10)
        ready = pair[1].client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
        assert pair[1].metric("ftassets_control_age_seconds") >= SILENT
        assert "see that it runs" in pair[1].serving.health()["control"]["why"]
    finally:
        database.start()
    wait_until(lambda: all(each.serving.health()["control"]["ready"] for each in pair), 10)
    wait_until(lambda: [each.action for each in pair[1].serving.journal()] == ["start", "start", "ramp", "expire"], 10)
    assert pair[0].client.get("/readyz").json()["status"] == "ok"
    pair[0].serving.start("support", candidate, 20, 600.0, "test", "again")
    assert pair[1].answering() == {production, candidate}


def test_a_rollback_without_the_database_is_in_force_where_it_was_asked_for_and_at_all_once_it_is_back(pair, canary, database) -> None:
    production, candidate = canary
    database.stop()
    try:
        with pytest.raises(ServingError, match="is in force at this gateway, but could not be written down"):
            pair[0].serving.rollback("support", "anna", "it is bad")
        assert pair[0].answering() == {production}
        assert pair[1].answering() == {production, candidate}
    finally:
        database.start()
    wait_until(lambda: pair[1].serving.state("support").candidate is None, 10)
    last = pair[1].serving.journal()[-1]
    assert (last.action, last.by, last.reason) == ("rollback", "anna", "it is bad")
    assert pair[0].answering() == pair[1].answering() == {production}


def test_a_rollback_of_a_candidate_that_the_other_gateway_promoted_takes_it_out_or_says_that_it_did_not(pair, canary, monkeypatch) -> None:
    production, candidate = canary

    async def seen(self: router.Router, loop: str) -> EndpointState:  # before the promotion arrived
        return before

    before = pair[1].serving.state("support")
    pair[0].serving.ramp("support", 100, 600.0, "test", "good")
    with monkeypatch.context() as late:
        late.setattr(router.Router, "newest", seen)
        assert pair[1].serving.rollback("support", "anna", "it is bad").weights == {production: 100}
    assert pair[0].serving.journal()[-1].by == "anna"
    third = released(pair[0].home, "c")
    attest(pair[0].home, "support", third, compared_with=production)
    pair[0].serving.start("support", third, 20, 600.0, "test", "next")
    with monkeypatch.context() as late:
        late.setattr(router.Router, "newest", seen)
        before = EndpointState(production=candidate, candidate=production, weight=20)
        with pytest.raises(ServingError, match="still has traffic|became the candidate meanwhile"):
            pair[1].serving.rollback("support", "anna", "it is bad")


def test_a_gateway_that_is_silent_is_named_and_waited_for_no_longer_than_a_second(pair, canary, monkeypatch, caplog) -> None:
    production, _ = canary
    beat = next(each for each in read_beats(control(pair[0].home)) if each.name == "two")
    dead = beat.model_copy(update={"name": "three", "life": "x"})
    control(pair[0].home).write("gateway/replicas/three.json", dead.model_dump_json().encode())
    wait_until(lambda: len(pair[0].serving.health()["replicas"]) == 3, 5)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING):
        pair[0].serving.rollback("support", "test", "drill")
    assert 0.9 < time.monotonic() - began < 2.5
    assert "not confirmed by three (has not confirmed it yet)" in caplog.text
    assert pair[1].answering() == {production}
    wait_until(lambda: pair[0].metric("ftassets_gateways") == 2, SILENT + 3)
    monkeypatch.setattr(peers, "FORGOTTEN", 1.0)
    wait_until(lambda: len(pair[1].serving.health()["replicas"]) == 2, 5)


def test_a_gateway_that_stops_is_waited_for_no_more(home, shared, monkeypatch) -> None:
    with replica(home, "one", monkeypatch) as one:
        with replica(beside(home, "two"), "two", monkeypatch):
            wait_until(lambda: one.metric("ftassets_gateways") == 2, 5)
        wait_until(lambda: [each["name"] for each in one.serving.health()["replicas"]] == ["one"], 5)


def test_a_candidate_that_cannot_run_here_but_answers_elsewhere_is_not_rolled_back(pair, canary) -> None:
    production, candidate = canary
    host = pair[1].host
    host.start = lambda digest, folder: asyncio.sleep(0)  # type: ignore[method-assign]
    host.kill(candidate)
    wait_until(lambda: not pair[1].serving.health()["versions"][candidate]["ready"], 10)
    time.sleep(PATIENCE + 2)
    assert pair[1].answering() == {production}
    assert pair[0].answering() == {production, candidate}
    pair[0].host.start = host.start  # type: ignore[method-assign]
    pair[0].host.kill(candidate)
    wait_until(lambda: pair[1].serving.state("support").candidate is None, PATIENCE + 15)


def test_a_second_gateway_of_one_home_is_refused(home, shared, monkeypatch) -> None:
    with replica(home, "one", monkeypatch), pytest.raises(CannotServe, match="FTASSETS_HOME of its own"):  # noqa: SIM117
        with replica(home, "two", monkeypatch):
            pass


def test_gateways_that_would_know_users_or_answers_by_themselves_are_refused(home, shared, monkeypatch) -> None:
    with replica(home, "one", monkeypatch):
        stranger = Home(home.root.parent / "stranger")
        with pytest.raises(CannotServe, match="knows users by another secret"), replica(stranger, "two", monkeypatch):
            pass
        monkeypatch.delenv(TRAFFIC_URL)
        with pytest.raises(CannotServe, match="traffic log of two is a file of its own"):  # noqa: SIM117
            with replica(beside(home, "two"), "two", monkeypatch):
                pass


def test_two_of_one_name_say_so(home, shared, monkeypatch) -> None:
    with replica(home, "one", monkeypatch) as one, replica(beside(home, "two"), "one", monkeypatch):
        wait_until(lambda: one.serving.health()["control"]["ready"] is False, 15)
        assert "set FTASSETS_REPLICA" in one.serving.health()["control"]["why"]


def test_what_is_wrong_with_a_version_on_one_machine_leaves_it_to_the_others(home, shared, monkeypatch) -> None:
    with replica(home, "one", monkeypatch) as one:
        production, candidate = released(home, "a"), released(home, "b")
        one.serving.start("support", production, 100, 600.0, "test", "first")
        one.serving.start("support", candidate, 50, 600.0, "test", "canary")
        other = Home(home.root.parent / "two")
        (other.root / "versions").mkdir(parents=True)
        (other.root / "keys").symlink_to(home.keys)
        (other.root / "versions" / production).symlink_to(home.versions / production)  # the candidate did not arrive there
        with replica(other, "two", monkeypatch) as two:
            wait_until(lambda: two.ask().status_code == 200 and one.metric("ftassets_gateways") == 2, 10)
            assert two.answering() == {production}
            assert one.answering() == {production, candidate}
            monkeypatch.setattr(router, "START_TIMEOUT", 2.0)
            with pytest.raises(ServingError, match="its server does not answer at two"):
                one.serving.ramp("support", 100, 600.0, "test", "good")
