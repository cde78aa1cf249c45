from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from alembic.script import ScriptDirectory, base
from dagster._core.storage import sql

from ftassets.automation.table_history import ReadOnce, read_once


def test_the_files_of_the_history_are_read_when_a_process_opens_its_storage_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # as it is without this module, and without what conftest.py does for all tests
    monkeypatch.setattr(ScriptDirectory, "from_config", getattr(ScriptDirectory.from_config, "__wrapped__", ScriptDirectory.from_config))
    monkeypatch.setattr(sql, "ScriptDirectory", ScriptDirectory)
    ReadOnce.from_config.cache_clear()  # type: ignore[attr-defined]
    (tmp_path / "dagster.yaml").write_text(f"storage:\n  sqlite: {{base_dir: {tmp_path}}}\n")
    read: list[str] = []
    load = base.util.load_python_file

    def noted(folder: str, name: str) -> Any:
        read.append(name)
        return load(folder, name)

    monkeypatch.setattr(base.util, "load_python_file", noted)

    def opened() -> int:
        read.clear()
        with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
            instance.get_runs()
        return len(read)

    opened()  # makes the tables
    assert opened() > 30
    read_once()
    assert opened() > 30
    assert opened() == 0
