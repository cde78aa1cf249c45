"""How long the gateway waits for a model server, and what becomes of what is under way when it stops."""

import asyncio
import logging
import threading
import time

import httpx
import pytest

from ftassets.backends.traffic_log.sqlite import SqliteTrafficLog
from ftassets.config.home import Home
from ftassets.config.loop import Serving
from ftassets.gateway.connections import Limits
from ftassets.gateway.patience import Patience
from ftassets.testing.releases import loop_config, released
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.gateway.conftest import LOOPS, Clock, Running

SHORT = Serving(first_token=0.6, idle=0.5, total=2.0)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOOPS, "support", loop_config("support", serving=SHORT.model_dump()))


@pytest.mark.parametrize(
    ("prompt", "stream", "status", "limit"),
    [
        ("wait 1.2", True, 504, "first_token"), ("wait 1.2", False, 200, None), ("wait 3", False, 504, "total"),
        ("slow a b", True, 200, None), ("slow " + "x " * 12, True, 504, "total"),
    ],
)  # fmt: skip
def test_limits_are_those_of_the_loop(
    impatient: None, serving_a: Running, prompt: str, stream: bool, status: int, limit: str | None
) -> None:
    began = time.monotonic()
    reply = serving_a.ask(prompt, stream=stream)
    assert time.monotonic() - began < 4
    [row] = serving_a.rows()
    assert row.status == status, row
    if limit:
        assert f"serving.{limit} is" in (row.error or "")
        assert "engine_timeout" in reply.text


def test_each_wait_is_bounded_and_what_the_client_takes_is_not_counted() -> None:
    async def run() -> None:
        patience = Patience(SHORT, stream=True)
        await patience.wait(asyncio.sleep(0.3), answering=False)
        await asyncio.sleep(1.0)  # a client that does not read
        await patience.wait(asyncio.sleep(0.4), answering=True)
        with pytest.raises(TimeoutError, match=r"serving.idle is 0.5 s"):
            await patience.wait(asyncio.sleep(5), answering=True)
        await patience.wait(asyncio.sleep(0.4), answering=True)
        with pytest.raises(TimeoutError, match=r"serving.total is 2 s"):
            await patience.wait(asyncio.sleep(5), answering=True)
        patience = Patience(SHORT, stream=True)
        await patience.wait(asyncio.sleep(0.4), answering=False)  # a ping does not buy time
        with pytest.raises(TimeoutError, match="first_token"):
            await patience.wait(asyncio.sleep(0.4), answering=False)

    asyncio.run(run())


def test_a_gateway_that_stops_lets_answers_end_and_writes_down_what_it_cuts(
    home: Home, host: ThreadHost, caplog: pytest.LogCaptureFixture
) -> None:
    found: dict[str, httpx.Response] = {}

    def ask(name: str, prompt: str, stream: bool) -> None:
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            body = {"model": "support", "stream": stream, "messages": [{"role": "user", "content": prompt}]}
            found[name] = client.post("/v1/chat/completions", json=body)

    asked = [("short", "wait 1", False), ("flow", "slow a", True), ("long", "wait 20", False), ("stream", "slow " + "x " * 90, True)]
    with caplog.at_level(logging.WARNING):
        with run_gateway_in_thread(home, LOOPS, host, Clock(), limits=Limits(drain=3.0)) as (serving, url):
            serving.start("support", released(home, "a"), 100, 60, "test", "first")
            threads = [threading.Thread(target=ask, args=each) for each in asked]
            for thread in threads:
                thread.start()
            until = time.monotonic() + 20
            while sum(len(server.server_state.tasks) for server, _, _ in host._servers.values()) < len(asked):
                assert time.monotonic() < until, "all are under way"
                time.sleep(0.02)
            began = time.monotonic()
        assert time.monotonic() - began < 10
        for thread in threads:
            thread.join()
    assert found["short"].status_code == 200
    assert found["flow"].text.endswith("[DONE]\n\n")
    assert (found["long"].status_code, found["long"].json()["error"]["code"]) == (503, "gateway_stopping")
    assert found["long"].headers["retry-after"]
    assert "gateway_stopping" in found["stream"].text
    assert "[DONE]" not in found["stream"].text
    rows = {row.prompt: (row.status, row.error) for row in SqliteTrafficLog(home.traffic_db).exchanges("support")}
    cut = (499, "the gateway was stopped before the answer was whole")
    assert [rows[prompt] for _, prompt, _ in asked] == [(200, None), (200, None), cut, cut]
    assert "2 answers were not whole after 3 s and cut" in caplog.text
    assert "Traceback" not in caplog.text
