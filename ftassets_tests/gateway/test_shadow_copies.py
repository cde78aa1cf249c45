"""A candidate in shadow: it answers copies of requests, its answers are stored with production's, and nobody gets them."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.backends.serving.base import ServingError
from ftassets.backends.traffic_log.base import ShadowAnswer
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.domain.rollout.shadow_phase import is_copied
from ftassets.gateway import shadow_copies
from ftassets.testing.releases import loop_config, make_version, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import Clock, Running

POLICY = {"sample": 1, "min_requests": 5}


class Engine:
    """Stub engines, one of which answers late, or another status."""

    def __init__(self) -> None:
        self.digest, self.delay, self.status, self.asked = "", 0.0, 200, 0

    def app(self, folder: Path) -> ASGIApp:
        stub = stub_engine()(folder)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if folder.name == self.digest and scope["path"].endswith("completions"):
                self.asked += 1
                await asyncio.sleep(self.delay)
                if self.status != 200:
                    await send({"type": "http.response.start", "status": self.status, "headers": []})
                    return await send({"type": "http.response.body", "body": b"no"})
            await stub(scope, receive, send)

        return app


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def host(engine: Engine) -> Iterator[ThreadHost]:
    host = ThreadHost(engine.app)
    yield host
    host.close()


class Shadowing(Running):
    """A gateway whose loop `support` has a candidate in shadow."""

    candidate = ""

    def copies(self, number: int) -> list[ShadowAnswer]:
        """The stored copies, once there are so many."""
        log = SqliteTrafficLog(self.home.traffic_db)
        return until(lambda: log.shadow_answers("support", self.candidate, 0.0, 1000), lambda found: len(found) >= number)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a counter of the candidate."""
        wanted = {"loop": "support", "version": self.candidate[:12], **labels}
        named = ",".join(f'{key}="{value}"' for key, value in sorted(wanted.items()))
        found = re.search(rf"^{name}{{{named}}} (\S+)$", self.client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0.0


def until(read: Callable[[], Any], enough: Callable[[Any], bool], seconds: float = 15.0) -> Any:
    end = time.monotonic() + seconds
    while not enough(found := read()) and time.monotonic() < end:
        time.sleep(0.05)
    assert enough(found), found
    return found


@pytest.fixture
def policy() -> dict[str, Any]:
    return POLICY


@pytest.fixture
def serving() -> dict[str, Any]:
    return {}


@pytest.fixture
def shadow(home, host, engine, policy, serving) -> Iterator[Shadowing]:
    clock = Clock()
    loops = {"support": loop_config("support", rollout={"shadow": policy, "server_patience": 2}, serving=serving)}
    running = run_gateway_in_thread(home, loops, host, clock)
    with running as (verbs, url), httpx.Client(base_url=url, timeout=30, trust_env=False, verify=False) as client:
        found = Shadowing(home, verbs, url, host, client, clock)
        found.start(released(home, "a"))
        found.candidate = engine.digest = released(home, "b")
        found.start(found.candidate, 0)
        engine.asked = 0
        yield found


def test_a_candidate_in_shadow_answers_copies_and_no_user(shadow: Shadowing) -> None:
    state = shadow.serving.state("support")
    assert (state.phase, state.candidate, state.weights) == ("shadow", shadow.candidate, {state.production: 100})
    replies = [shadow.ask(f"hello {n}", user=f"u{n}") for n in range(8)]
    assert {reply.headers["x-ftassets-version"] for reply in replies} == {state.production}
    found = shadow.copies(8)
    rows = {row.id: row for row in shadow.rows()}
    assert {each.request_id for each in found} == rows.keys()
    for each in found:
        row = rows[each.request_id]
        assert (each.answer, row.answer) == (f"{shadow.candidate} {row.prompt}", f"{state.production} {row.prompt}")
        assert (each.user, each.at, each.production, each.production_latency_ms) == (row.user, row.at, row.version, row.latency_ms)
        assert (each.status, each.tokens_out, each.first_token_ms, each.agrees) == (200, 3, None, None), "no call to be compared with"
        assert each.well_formed is each.production_well_formed is False
    assert {row.version for row in rows.values()} == {state.production}
    assert shadow.metric("ftassets_shadow_copies_total", status="200") == 8
    assert shadow.metric("ftassets_shadow_dropped_total", reason="busy") == 0


def test_streams_and_tools_are_copied_as_they_were_asked(shadow: Shadowing) -> None:
    tools = [{"type": "function", "function": {"name": "open", "parameters": {"type": "object"}}}]
    assert shadow.ask("echo", tools=tools, seed=7, max_tokens=9).status_code == 200
    [copy] = shadow.copies(1)
    asked = json.loads(copy.answer)
    assert (asked["tools"], asked["max_tokens"]) == (tools, 9)
    assert asked["messages"][0] == {"role": "system", "content": "Answer with the tool call."}
    streamed = shadow.ask("a stream", stream=True)
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert shadow.candidate not in streamed.text
    newest = shadow.copies(2)[0]
    assert newest.answer == f"{shadow.candidate} a stream "
    assert newest.first_token_ms is not None
    assert newest.production_first_token_ms is not None


def test_what_fails_is_a_pair_too_but_not_what_a_client_got_wrong(shadow: Shadowing, engine: Engine) -> None:
    assert shadow.ask("fail").status_code == 502
    assert shadow.ask("refuse").status_code == 422
    assert shadow.ask("hello", n=2).status_code == 422
    engine.status = 503
    assert shadow.ask("hello").status_code == 200
    assert shadow.ask("hello", stream=True).status_code == 200
    shadow.copies(3)
    engine.status = 422
    assert shadow.ask("hello").status_code == 200
    pairs = [(each.status, each.production_status) for each in shadow.copies(4)]
    assert sorted(pairs) == [(422, 200), (502, 200), (502, 200), (502, 502)]
    engine.status = 429
    assert shadow.ask("hello").status_code == 200
    until(lambda: shadow.metric("ftassets_shadow_dropped_total", reason="busy"), lambda value: value == 1)
    assert len(shadow.copies(4)) == 4, "too many at once is no fault of the version"


@pytest.mark.parametrize("serving", [{"total": 1, "first_token": 1}])
def test_what_takes_too_long_does_so_for_both(shadow: Shadowing) -> None:
    for stream in (False, True):
        shadow.ask("wait 2", stream=stream)
    assert {(each.status, each.production_status) for each in shadow.copies(2)} == {(504, 504)}


@pytest.mark.parametrize("policy", [{"sample": 0.3}])
def test_the_sample_is_known_from_the_log(shadow: Shadowing) -> None:
    for n in range(60):
        shadow.ask(f"hello {n}")
    wanted = {row.id for row in shadow.rows() if is_copied("support", shadow.candidate, row.id, 0.3)}
    assert 5 < len(wanted) < 35
    assert {each.request_id for each in shadow.copies(len(wanted))} == wanted


def test_a_slow_candidate_delays_nobody_and_what_does_not_fit_is_dropped(
    shadow: Shadowing, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow_copies, "MOST", 6)
    engine.delay = 1.0
    began = time.monotonic()
    for n in range(20):
        assert shadow.ask(f"hello {n}").status_code == 200
    assert time.monotonic() - began < 0.9, "the first copy is not answered yet"
    assert engine.asked == shadow_copies.AT_ONCE
    assert shadow.metric("ftassets_shadow_dropped_total", reason="busy") == 14
    assert len(shadow.copies(6)) == 6
    engine.delay = 0.0
    shadow.ask("again")
    shadow.copies(7)


def test_memory_for_copies_is_bounded(shadow: Shadowing, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow_copies, "MOST_BYTES", 5_000)
    engine.delay = 0.5
    for _ in range(3):
        assert shadow.ask("x" * 2000).status_code == 200
    assert shadow.metric("ftassets_shadow_dropped_total", reason="busy") == 1
    assert len(shadow.copies(2)) == 2


def test_what_comes_after_the_phase_does_not_count(shadow: Shadowing, engine: Engine) -> None:
    engine.delay = 0.5
    assert shadow.ask("hello").status_code == 200
    until(lambda: engine.asked, bool)
    shadow.serving.rollback("support", "anna", "changed her mind")
    until(lambda: shadow.metric("ftassets_shadow_dropped_total", reason="over"), lambda value: value == 1)
    assert shadow.ask("hello").status_code == 200
    time.sleep(1.5)
    assert shadow.copies(0) == []
    assert engine.asked == 1
    assert shadow.serving.state("support").rejected == (shadow.candidate,)


def test_a_dead_candidate_is_given_up_as_in_a_canary(shadow: Shadowing) -> None:
    shadow.ask("hello")
    assert len(shadow.copies(1)) == 1
    start = shadow.host.start

    async def broken(digest: str, folder: Path) -> None:
        if digest == shadow.candidate:
            raise OSError("it does not start any more")
        await start(digest, folder)

    shadow.host.start = broken  # type: ignore[method-assign]
    shadow.host.kill(shadow.candidate)
    assert shadow.ask("hello").status_code == 200
    until(lambda: shadow.metric("ftassets_shadow_dropped_total", reason="unavailable"), lambda value: value >= 1)
    until(lambda: shadow.serving.health("support")["versions"][shadow.candidate].get("why", ""), lambda why: "does not start" in why)
    time.sleep(1.5)  # the gateway has noticed since when
    shadow.clock.now += 3
    state = until(lambda: shadow.serving.state("support"), lambda found: found.candidate is None)
    assert state.rejected == (shadow.candidate,)
    assert "has not answered" in shadow.serving.journal()[-1].reason
    assert len(shadow.copies(1)) == 1, "a server that is not there is no answer that failed"


def test_a_person_goes_on_from_shadow_and_the_canary_begins_then(shadow: Shadowing) -> None:
    with pytest.raises(ServingError, match="has its place already"):
        shadow.start(shadow.candidate, 0)
    shadow.clock.now += 30
    state = shadow.serving.ramp("support", 20, 60, "anna", "seen enough")
    assert (state.phase, state.weight, state.since) == ("canary", 20, shadow.clock.now)
    assert [each.action for each in shadow.serving.journal()] == ["start", "shadow", "start"]
    shadow.ask("hello", user="u")
    time.sleep(1.2)
    assert shadow.copies(0) == []
    with pytest.raises(ServingError, match="has its place already"):
        shadow.start(shadow.candidate, 0)


def test_shadow_is_a_lease_and_needs_what_traffic_needs(shadow: Shadowing) -> None:
    shadow.clock.now += 61
    state = until(lambda: shadow.serving.state("support"), lambda found: found.candidate is None)
    assert (state.phase, state.rejected) == ("serving", ())
    with pytest.raises(ServingError, match="no release attestation"):
        shadow.start(make_version(shadow.home, "unreleased"), 0)


def test_shadow_outlives_the_gateway(home, host, engine) -> None:
    clock, loops = Clock(), {"support": loop_config("support", rollout={"shadow": POLICY})}
    production, engine.digest = released(home, "a"), released(home, "b")
    with run_gateway_in_thread(home, loops, host, clock) as (serving, _):
        with pytest.raises(ServingError, match="no production whose requests could be copied"):
            serving.start("support", engine.digest, 0, 60, "test", "too early")
        serving.start("support", production, 100, 60, "test", "first")
        serving.start("support", engine.digest, 0, 60, "test", "look")
    with run_gateway_in_thread(home, loops, host, clock) as (serving, url):
        assert serving.state("support").phase == "shadow"
        body = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}
        ask = lambda: httpx.post(f"{url}/v1/chat/completions", json=body, trust_env=False, verify=False).status_code  # noqa: E731
        until(ask, lambda status: status == 200)
        log = SqliteTrafficLog(home.traffic_db)
        until(lambda: (ask(), log.shadow_answers("support", engine.digest, 0.0, 10))[1], bool)


def test_a_loop_without_the_phase_copies_nothing(gateway: Running, host: ThreadHost, engine: Engine) -> None:
    gateway.start(released(gateway.home, "a"))
    engine.digest = released(gateway.home, "b")
    gateway.start(engine.digest, 0)
    asked = engine.asked
    assert gateway.ask("hello").status_code == 200
    time.sleep(0.3)
    assert engine.asked == asked
