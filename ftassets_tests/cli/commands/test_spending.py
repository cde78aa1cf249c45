"""`ftassets cost` from the command line, for a home without a gateway that runs."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import Journal
from ftassets.backends.control.usage import close, write_at_work
from ftassets.cli.main import app
from ftassets.config import loops_folder
from ftassets.config.home import Home
from ftassets.config.loop_files import LoopFiles
from ftassets.config.profiles import control
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.spending.usage import Usage
from ftassets.testing.releases import loop_config
from ftassets_tests.domain.spending.conftest import entry


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Control:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    return control(Home(tmp_path / "home"))


def with_loop(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    monkeypatch.setattr(loops_folder, "read_loop_files", lambda folder: LoopFiles({"support": loop_config(**changes)}, {}, []))


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["cost", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_promoted_a_refused_and_a_killed_run_are_told_with_their_cost(store: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    with_loop(monkeypatch, prices={"usd_per_cpu_hour": 3.6}, budget={"usd_per_month": 5})
    now = time.time()
    close(store, entry("promoted", "adapter", now - 60, made="a" * 64, usage=Usage(cpu_seconds=2000, tokens_trained=12_345)))
    close(store, entry("promoted", "release", now - 50, 1.0, made="a" * 64))
    close(store, entry("refused", "promotion_gates", now - 40, 500.0, "refused"))
    write_at_work(store, entry("killed", "adapter", now - 400, 499.0, None))
    Journal(store).record("support", "start", "run:promoted", "first", EndpointState(production="a" * 64), now - 30)
    text = run()
    assert "support: runs: 3.00 USD: 3,000 CPU seconds, 0 GPU seconds, 12,345 tokens trained" in text
    assert "support: cycles: 3 runs to make a version (1 died, 1 promoted, 1 refused): 3.00 USD" in text
    assert "support: per promoted model: 3.00 USD, 3,000 CPU seconds" in text
    assert "of 5.00 USD in" in text
    assert "a" * 12 in text
    found = json.loads(run("support", "--json", "--months", "2"))["support"]
    assert [(each["run_id"], each["outcome"]) for each in found["cycles"]] == [
        ("killed", "died"), ("promoted", "promoted"), ("refused", "refused")
    ]  # fmt: skip
    assert sum(each["cost"]["usd"] for each in found["cycles"]) == pytest.approx(found["runs"]["usd"]) == pytest.approx(3.0)
    assert sum(each["promoted"] for each in found["months"]) == 1
    assert found["versions"][0]["version"] == "a" * 64
    assert found["against_api"] is None


def test_without_prices_all_is_said_in_seconds_and_tokens(store: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    with_loop(monkeypatch)
    close(store, entry("a", "adapter", time.time() - 60, usage=Usage(cpu_seconds=7200, gpu_seconds=30)))
    text = run("support")
    assert "support: runs: not priced: 7,200 CPU seconds, 30 GPU seconds: 7,200 CPU seconds, 30 GPU seconds" in text
    assert "0.00 USD" not in text
    assert json.loads(run("--json"))["support"]["runs"]["usd"] is None


def test_of_a_loop_without_runs_there_is_little_to_say(store: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    with_loop(monkeypatch)
    assert "support: per promoted model: no version came into production in this time" in run()
    unknown = CliRunner().invoke(app, ["cost", "other"])
    assert (unknown.exit_code, "other" in unknown.stderr) == (1, True)
