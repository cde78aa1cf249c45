"""One loop whose file or state cannot be read: the others are served, and it is served as it was if that is known."""

import re
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from ftassets.backends.serving.base import Refused, ServingError
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.gateway.__main__ import served_loops
from ftassets.testing.releases import released
from ftassets.testing.thread_host import ThreadHost, run_gateway_in_thread
from ftassets_tests.config.test_loops_folder import put_loop
from ftassets_tests.gateway.test_chat import wait_until


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = put_loop(put_loop(tmp_path / "loops", "support"), "other")
    monkeypatch.setenv("FTASSETS_LOOPS", str(folder))
    return folder


def ask(url: str, loop: str, user: str = "u") -> httpx.Response:
    body = {"model": loop, "messages": [{"role": "user", "content": "hello"}], "user": user}
    return httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30, trust_env=False)


def versions(url: str) -> set[str]:
    """Versions that twenty users of the loop `support` get."""
    return {ask(url, "support", f"u{number}").headers["x-ftassets-version"] for number in range(20)}


def test_a_loop_whose_file_broke_keeps_its_production_and_nothing_new_gets_traffic(home: Home, host: ThreadHost, loops: Path) -> None:
    a, b = (released(home, name) for name in "ab")
    found, held = served_loops(home)
    assert (sorted(found), held) == (["other", "support"], {})
    with run_gateway_in_thread(home, found, host) as (serving, url):
        serving.start("support", a, 100, 60.0, "test", "first")
        serving.start("support", b, 50, 600.0, "test", "canary")
        assert versions(url) == {a, b}

    path = loops / "support" / "defs.yaml"
    path.write_text(path.read_text().replace("base_model:", "bse_model:"))
    found, held = served_loops(home)
    assert sorted(found) == ["other", "support"]
    assert str(path) in held["support"]
    with run_gateway_in_thread(home, found, host, held=held) as (serving, url):
        assert (serving.state("support").production, serving.state("support").candidate) == (a, None)
        assert "bse_model" in next(iter(serving.newest("support", 1))).reason
        assert b not in serving.state("support").rejected, "it may start again when the file is corrected"
        wait_until(lambda: ask(url, "support").status_code == 200, 10)
        assert versions(url) == {a}
        shown = CliRunner().invoke(app, ["status"], env={"FTASSETS_HOME": str(home.root)})
        assert shown.exit_code == 1
        assert re.search(rf"support .* serving .* {a[:12]} 100 % .* no usable file ", shown.stdout)
        assert re.search(r"other .* idle ", shown.stdout)
        with pytest.raises(Refused, match=r"support is served as it was, and nothing new gets traffic: .*bse_model.*`ftassets up` again"):
            serving.start("support", b, 5, 60.0, "test", "second")
        serving.start("other", released(home, "d", "other"), 100, 60.0, "test", "first")
        assert ask(url, "other").status_code == 200


def test_a_loop_whose_file_broke_can_be_rolled_back(home: Home, host: ThreadHost, loops: Path) -> None:
    a, b = (released(home, name) for name in "ab")
    with run_gateway_in_thread(home, served_loops(home)[0], host) as (serving, _):
        serving.start("support", a, 100, 60.0, "test", "first")
        serving.start("support", b, 50, 60.0, "test", "second")
        serving.ramp("support", 100, 60.0, "test", "promote")
    (loops / "support" / "defs.yaml").write_text("type: [")
    found, held = served_loops(home)
    with run_gateway_in_thread(home, found, host, held=held) as (serving, url):
        assert serving.rollback("support", "test", "worse").production == a
        wait_until(lambda: ask(url, "support").status_code == 200, 10)
        assert versions(url) == {a}


def test_a_file_that_was_never_served_stops_no_other(home: Home, loops: Path) -> None:
    (loops / "support" / "defs.yaml").write_text("type: [")
    found, held = served_loops(home)
    assert (sorted(found), held) == (["other"], {})


def test_a_damaged_state_of_one_loop_stops_no_other(home: Home, host: ThreadHost, loops: Path) -> None:
    found, _ = served_loops(home)
    with run_gateway_in_thread(home, found, host) as (serving, url):
        for loop, content in (("support", "a"), ("other", "b")):
            serving.start(loop, released(home, content, loop), 100, 60.0, "test", "first")
    state = home.gateway / "support.state.json"
    state.write_text("{")
    with run_gateway_in_thread(home, found, host) as (serving, url):
        wait_until(lambda: ask(url, "other").status_code == 200, 10)
        refused = ask(url, "support")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_production_version")
        assert str(home.root) not in refused.text, "a client learns no path"
        assert httpx.get(f"{url}/v1/models/support", trust_env=False).status_code == 503
        for verb in (serving.state, lambda loop: serving.rollback(loop, "test", "x")):
            with pytest.raises(ServingError, match=rf"{state} is not the state of a loop .* remove it to go by the journal; then start"):
                verb("support")
        assert httpx.get(f"{url}/health?loop=other", trust_env=False).status_code == 200
        health = httpx.get(f"{url}/health", trust_env=False)
        assert (health.status_code, health.json()["loops"]) == (503, {"support": False, "other": True})
        assert httpx.get(f"{url}/readyz", trust_env=False).status_code == 200
        assert httpx.get(f"{url}/metrics", trust_env=False).status_code == 200
    state.unlink()
    with run_gateway_in_thread(home, found, host) as (serving, url):
        wait_until(lambda: ask(url, "support").status_code == 200, 10)  # by the journal
