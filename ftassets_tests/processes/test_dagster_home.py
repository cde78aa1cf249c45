"""Where Dagster's configuration comes from."""

from pathlib import Path

import pytest
import yaml

from ftassets.config.home import Home
from ftassets.processes.dagster_home import CONFIGURATION, dagster_home
from ftassets_tests import ROOT


def test_the_home_gets_the_configuration_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    home = Home(tmp_path / "home")
    assert dagster_home(home) == home.dagster_storage
    written = home.dagster_storage / "dagster.yaml"
    assert yaml.safe_load(written.read_text()) == yaml.safe_load(CONFIGURATION.read_text())
    assert "set DAGSTER_HOME to a folder with your dagster.yaml" in written.read_text()
    before = written.stat()
    dagster_home(home)
    assert written.stat().st_ino == before.st_ino, "written only when it differs"
    written.write_text("telemetry: {enabled: true}")
    dagster_home(home)
    assert "telemetry: {enabled: false}" in written.read_text()
    assert (ROOT / "dagster.yaml").read_text() == CONFIGURATION.read_text()


def test_dagster_home_of_the_environment_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert dagster_home(Home(tmp_path / "home")) == tmp_path
    assert list(tmp_path.iterdir()) == []
