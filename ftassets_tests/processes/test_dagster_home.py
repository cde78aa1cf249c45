"""Where Dagster's configuration comes from."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickStatus

from ftassets.config.home import Home
from ftassets.errors import ConfigurationError
from ftassets.processes.dagster_home import CONFIGURATION, dagster_home, make_storage
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


def test_dagsters_tables_are_there_before_its_processes_start(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text(CONFIGURATION.read_text())
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "FTASSETS_DAGSTER_STORAGE": str(tmp_path / "storage")}
    assert make_storage(environment), "runs that are handed back wait in the queue"
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        with closing(sqlite3.connect(tmp_path / "storage" / name)) as database:
            assert len(database.execute("SELECT version_num FROM alembic_version").fetchall()) == 1, name


def test_a_run_coordinator_without_a_queue_is_found(tmp_path: Path) -> None:
    own = {"run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"}}
    settings = {name: value for name, value in yaml.safe_load(CONFIGURATION.read_text()).items() if name != "concurrency"}
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(settings | own))
    assert not make_storage({**os.environ, "DAGSTER_HOME": str(tmp_path), "FTASSETS_DAGSTER_STORAGE": str(tmp_path / "storage")})


@pytest.mark.parametrize("kind", [InstigatorType.SENSOR, InstigatorType.SCHEDULE])
def test_no_tick_is_kept_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: InstigatorType) -> None:
    (tmp_path / "dagster.yaml").write_text(CONFIGURATION.read_text())
    monkeypatch.setenv("FTASSETS_DAGSTER_STORAGE", str(tmp_path / "storage"))
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        kept = instance.get_tick_retention_settings(kind)
    assert set(kept) == set(TickStatus)
    assert all(0 < days <= 365 for days in kept.values())


def test_a_storage_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("storage: {sqlite: {base_dir: {env: NOT_SET_ANYWHERE}}}")
    with pytest.raises(ConfigurationError, match=r"storage cannot be opened: .*NOT_SET_ANYWHERE.*dagster\.yaml"):
        make_storage({**os.environ, "DAGSTER_HOME": str(tmp_path)})
