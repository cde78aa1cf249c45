"""A dead run on the screen of a person: doctor fails, status has a note, with what to do."""

import json
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from ftassets.automation.ownership import DIED
from ftassets.automation.reconcile import Watch
from ftassets.cli.commands.stuck import stuck_runs_of_home
from ftassets.cli.main import app
from ftassets.config.home import Home
from ftassets.config.loop_files import LOOPS
from ftassets_tests.automation.conftest import Bench, S
from ftassets_tests.automation.test_reconcile import GONE, owner

LOOP = "support_triage"


def test_doctor_and_status_name_a_run_that_nothing_executes_until_it_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "home")
    for variable, value in {
        "FTASSETS_HOME": str(home.root),
        "FTASSETS_LOOPS": str(LOOPS),
        "DAGSTER_HOME": str(tmp_path),
        "FTASSETS_DAGSTER_STORAGE": "",  # set by what opens Dagster's storage: put back afterwards
    }.items():
        monkeypatch.setenv(variable, value)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.get() as instance:
        run = Bench(instance, home).run_of("adapter", status=S.STARTED, tags=owner(GONE), loop=LOOP)
        words = f"run {run.run_id[:8]} (adapter) is STARTED, but process {GONE} on "
        doctor = CliRunner().invoke(app, ["doctor", "--json"])
        [found] = [each for each in json.loads(doctor.stdout)["findings"] if each["subject"] == f"run of {LOOP}"]
        assert (doctor.exit_code, found["ok"]) == (1, False)
        assert found["text"].startswith(words)
        [note] = json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)["loops"][LOOP]["notes"]
        assert note.startswith(words)
        assert Watch(LOOP).end_dead_runs(instance) == [run.run_id]
        assert instance.get_run_tags(tag_keys=[DIED]) == [(DIED, {"true"})]
    assert stuck_runs_of_home(home, [LOOP]) == {}


def test_a_home_where_dagster_never_ran_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert stuck_runs_of_home(Home(tmp_path), [LOOP]) == {}
    assert list(tmp_path.iterdir()) == []
