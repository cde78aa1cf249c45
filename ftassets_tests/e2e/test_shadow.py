"""A release through shadow with real processes: gateway, engines, traffic log and the sensor that decides."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from ftassets.automation import rollout
from ftassets.backends.serving.gateway import GatewayServing
from ftassets.backends.signer.folder import FolderSigner
from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.profiles import control
from ftassets.testing.releases import attest, loop_config, make_version, released
from ftassets.testing.stub_engine import stub_engine
from ftassets.testing.thread_host import ThreadHost
from ftassets_tests.gateway.test_kill import Gateway, load

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {
    "task": {"type": "text", "system_prompt": "Answer."},
    "rollout": {
        "shadow": {"sample": 1, "min_requests": 30},
        "steps": [20, 100],
        "guardrails": [{"metric": "errors", "required": False}, {"metric": "form", "required": False}],
    },
}
LOOP = loop_config("support", **SETTINGS)


class Rollout:
    """A gateway process with a production version, two released candidates, and the sensor."""

    def __init__(self, home: Home) -> None:
        self.broken: set[str] = set()
        self.production = released(home, "a")
        self.good, self.bad = make_version(home, "b"), make_version(home, "c")
        for candidate in (self.good, self.bad):
            attest(home, "support", candidate, compared_with=self.production)
        self.host = ThreadHost(self._app)
        for digest in (self.production, self.good, self.bad):
            asyncio.run(self.host.start(digest, home.versions / digest))
        self.gateway = Gateway(home, asyncio.run(self.host.running()), SETTINGS)
        self.serving, self.log, self._home = GatewayServing(home), SqliteTrafficLog(home.traffic_db), home
        self.serving.start("support", self.production, 100, 600, "test", "first")

    def _app(self, folder: Path) -> ASGIApp:
        stub = stub_engine(delay=0.01)(folder)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if folder.name in self.broken and scope["path"].endswith("completions"):
                await send({"type": "http.response.start", "status": 500, "headers": []})
                return await send({"type": "http.response.body", "body": b""})
            await stub(scope, receive, send)

        return app

    def ask(self, count: int) -> set[str]:
        """Requests of as many users; the versions that answered."""
        body = {"model": "support", "messages": [{"role": "user", "content": "hello"}]}
        with httpx.Client(base_url=self.gateway.url, timeout=30, trust_env=False, verify=False) as client:
            replies = [client.post("/v1/chat/completions", json={**body, "user": f"user {n}"}) for n in range(count)]
        assert {reply.status_code for reply in replies} == {200}
        return {reply.headers["x-ftassets-version"] for reply in replies}

    def copies(self, candidate: str, number: int) -> int:
        """How many copies are stored, after a time in which there may be so many."""
        until = time.monotonic() + 15
        while (found := len(self.log.shadow_answers("support", candidate, 0.0, 10_000))) < number and time.monotonic() < until:
            time.sleep(0.1)
        return found

    def tick(self) -> Any:
        """One tick of the sensor."""
        sensor = rollout.build(LOOP)
        resources = {
            "control": control(self._home), "traffic_log": self.log, "serving": self.serving, "signer": FolderSigner(self._home.keys),
        }  # fmt: skip
        with dg.DagsterInstance.ephemeral() as instance:
            return sensor(dg.build_sensor_context(instance=instance, resources=resources))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Rollout]:
    found = Rollout(Home(tmp_path / "home"))
    yield found
    found.gateway.kill()
    found.host.close()


def config_of(result: Any) -> dict[str, Any]:
    [request] = result.run_requests
    return dict(request.run_config["ops"]["support__endpoint"]["config"])


def test_a_good_candidate_goes_from_shadow_to_its_canary_though_the_gateway_is_killed(started: Rollout) -> None:
    started.serving.start("support", started.good, 0, 600, "test", "shadow")
    with load(started.gateway) as acknowledged:
        until = time.monotonic() + 20
        while len(acknowledged) < 40 and time.monotonic() < until:
            time.sleep(0.05)
        started.gateway.kill()
        known = len(acknowledged)
        started.gateway.start()
        while len(acknowledged) < known + 40 and time.monotonic() < until + 20:
            time.sleep(0.05)
    assert started.serving.state("support").phase == "shadow"
    rows = {row.id: row for row in started.log.stream("support")}
    assert set(acknowledged) <= rows.keys(), "copies cost no row"
    assert {row.version for row in rows.values()} == {started.production}
    assert started.copies(started.good, 30) >= 30
    assert {each.request_id for each in started.log.shadow_answers("support", started.good, 0.0, 10_000)} <= rows.keys()
    asked = config_of(started.tick())
    assert (asked["action"], asked["weight"]) == ("ramp", 20), json.dumps(asked)
    assert "good answers" in asked["reason"]
    started.serving.ramp("support", asked["weight"], 600, "test", asked["reason"])
    assert started.ask(60) == {started.production, started.good}


def test_a_broken_candidate_is_rolled_back_before_a_user_has_it(started: Rollout) -> None:
    started.serving.start("support", started.bad, 0, 600, "test", "shadow")
    started.broken.add(started.bad)  # it answered the gateway's first request
    assert started.ask(40) == {started.production}
    assert started.copies(started.bad, 40) == 40
    asked = config_of(started.tick())
    assert asked["reason"].startswith("rolled back: in shadow the candidate is worse than production on the same requests (errors: 40 of")
    state = started.serving.state("support")
    assert (state.phase, state.rejected) == ("serving", (started.bad,))
    assert started.serving.journal()[-1].by == "sensor:rollout"
    assert started.ask(10) == {started.production}
