"""`ftassets simulate`: what is printed of a day, and the example of the documentation."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ftassets.cli.main import app
from ftassets.config.loop_files import LOOPS
from ftassets.simulation.scenario import read_scenario
from ftassets_tests import ROOT

EXAMPLE = (ROOT / "docs/monitoring.md").read_text().partition("```yaml\n# scenario.yaml\n")[2].partition("```")[0]


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    path = tmp_path / "scenario.yaml"
    path.write_text(EXAMPLE)
    return path


def test_the_example_of_the_documentation_runs_and_prints_what_happens_and_costs(scenario: Path) -> None:
    assert len({event.kind for event in read_scenario(scenario).events}) >= 5
    command = ["simulate", "support_triage", "--loops", str(LOOPS), "--scenario", str(scenario), "--days", "9"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    assert "   0  2027-01-04  quality report: NOT ENOUGH DATA" in found.output
    assert "9 days: " in found.output.splitlines()[-2]
    assert found.output.splitlines()[-1].startswith("alerts: ")
    shown = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert [day["day"] for day in shown["days"]] == list(range(9))
    assert shown["costs"]["trainings"] == {}
    assert not (scenario.parent / "home" / "traffic.db").exists(), "the loop's own home is left alone"
