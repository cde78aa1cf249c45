"""`ftassets backtest`: the own loop file decides as was decided; another one is shown side by side."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from ftassets.backends.artifacts.reports import report_digests, report_key, store_report
from ftassets.cli.commands.backtest import money, sentences
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import read_loops
from ftassets.config.profiles import artifacts
from ftassets.domain.backtest import Backtested, rate_of
from ftassets.domain.traffic.retention import DAY
from ftassets_tests import ROOT
from ftassets_tests.domain.drift.test_verdict_again import compared, report
from ftassets_tests.samples.make import LOOP

SAMPLE = ROOT / "ftassets_tests" / "samples" / "v3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a home that a release has left behind, with its loop file."""
    shutil.copytree(SAMPLE / "home", tmp_path / "home")
    shutil.copytree(SAMPLE / "loop", tmp_path / "loop")
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FTASSETS_LOOPS", str(tmp_path / "loop"))
    own = read_loops(tmp_path / "loop")[LOOP]
    facts = {"window_end": 1_700_000_000.0, "production": None, "reference_commit": None, "window_queries": 500}
    stored = {**report(compared([0.1, 0.4, 0.1, 0.1])), **facts, "false_alarm_rate": rate_of(own)}
    store_report(artifacts(Home(tmp_path / "home")), LOOP, "drift", stored)
    return tmp_path


def run(folder: Path, *arguments: str, **changes: Any) -> Result:
    """The backtest of the loop's own file with changes."""
    own = next(path for path in (folder / "loop").rglob("defs.yaml") if "v3loop" in str(path) or path.parent.name == "loop")
    document = next(each for each in yaml.safe_load_all(own.read_text()) if each and each["attributes"].get("name", LOOP) == LOOP)
    document["attributes"] = {**document["attributes"], **changes}
    policy = own.with_name("other.yaml")
    policy.write_text(yaml.safe_dump(document))
    result = CliRunner().invoke(app, ["backtest", str(policy), "--loop", LOOP, *arguments])
    assert "Traceback" not in result.output
    return result


def test_the_own_file_decides_as_was_decided(folder: Path) -> None:
    result = run(folder, "--json")
    found = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    other = [each for each in found["decisions"] if each["now"] != each["was"]]
    assert {each["kind"] for each in other} <= {"retrain", "rollout"}, "samples of these were decided by other settings"
    assert found["kinds"]["gates"] == {"decisions": 2, "same": 2, "differ": 0, "unknown": 0}
    assert found["kinds"]["drift"]["same"] == 1
    assert len(found["limits"]) == 4


def row(kind: str, at: float, was: str, now: str | None) -> Backtested:
    return Backtested(kind, at * DAY, "", was, now, "" if now else "not measured")


def test_an_unknown_retrain_makes_number_and_cost_by_the_policy_unknown() -> None:
    known = row("retrain", 2, "RETRAIN: labels", "NO: few labels")
    assert money([known], None)["usd"]["now"] == 0
    found = money([known, row("retrain", 3, "RETRAIN: labels", None)], None)
    assert (found["retrains"], found["usd"]["now"]) == ({"was": 2, "now": None, "unknown": 1}, None)
    empty = {"days_from_first_alarm_to_first_retrain": {"was": None, "now": None}}
    assert "retrains: decided 2, by the policy unknown, 1 unknown" in sentences({**found, **empty})


@pytest.mark.parametrize(
    ("alarm", "retrain", "days"), [("ALARM", "RETRAIN: drift", 2.0), (None, "RETRAIN: drift", None), ("ALARM", None, None)]
)
def test_days_to_a_retrain_are_unknown_if_an_unknown_decision_may_be_the_first(
    alarm: str | None, retrain: str | None, days: float | None
) -> None:
    rows = [row("drift", 1, "ALARM", alarm), row("retrain", 3, "RETRAIN: drift", retrain)]
    rows += [row("drift", 4, "ALARM", "ALARM"), row("retrain", 5, "RETRAIN: drift", "RETRAIN: drift")]
    assert money(rows, None)["days_from_first_alarm_to_first_retrain"] == {"was": 2.0, "now": days}


@pytest.mark.parametrize("left", ["none", "damaged"])
def test_stored_alarms_are_not_those_of_other_drift_settings(folder: Path, left: str) -> None:
    stores = artifacts(Home(folder / "home"))
    for digest in report_digests(stores, LOOP, "drift"):
        stores.remove(report_key(LOOP, "drift", digest))
        if left == "damaged":
            stores.put(report_key(LOOP, "drift", digest), b"{}")
    for digest in report_digests(stores, LOOP, "decision"):
        stored = json.loads(stores.get(report_key(LOOP, "decision", digest)))
        stored["situation"]["alarms"] = 2
        stores.remove(report_key(LOOP, "decision", digest))
        store_report(stores, LOOP, "decision", stored)
    found = json.loads(run(folder, "--json", retrain_on={"drift": {"consecutive": 4}}).stdout)
    [retrain] = [each for each in found["decisions"] if each["kind"] == "retrain"]
    assert (retrain["now"], retrain["why"]) == (None, "a drift report before it is unknown")
    assert found["usd"]["now"] is None


def test_other_gates_and_another_window_are_shown_side_by_side(folder: Path) -> None:
    gates = [{"metric": "exact_match", "no_worse_than": "production", "margin": 0.9}]
    result = run(folder, gates=gates, retrain_on={"drift": {"window": "1h"}})
    assert result.exit_code == 0, result.output
    assert "all gates pass" in result.stdout
    assert "unknown: drift reports with another window were never made" in result.stdout
    assert "cost: decided" in result.stdout
    assert "does not exist, so nothing is known of its scores" in result.stdout
