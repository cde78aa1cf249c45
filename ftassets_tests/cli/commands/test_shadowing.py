"""Modules of a folder that would be imported in place of a library."""

import json
import subprocess
import sys
from pathlib import Path

from ftassets.cli.commands.shadowing import shadowing


def test_modules_and_packages_with_the_name_of_a_library_are_found(tmp_path: Path) -> None:
    for name in ("gql.py", "queue.py", "own.py", "conftest.py", "notes.txt", "yaml/__init__.py", "tests/__init__.py", "dagster/notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = dict(shadowing(tmp_path))
    assert set(found) == {"gql.py", "queue.py", "yaml"}
    for name in found:  # what Python itself does there
        code = f"import {name.removesuffix('.py')} as module; print(module.__file__)"
        out = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True).strip()
        assert Path(out).is_relative_to(tmp_path)
        assert not Path(found[name]).is_relative_to(tmp_path)
    assert dict(shadowing(tmp_path / "nonesuch")) == {}


def test_a_library_in_the_folder_does_not_shadow_itself(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "site" / "gql").mkdir(parents=True)
    (tmp_path / "site" / "gql" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), json.__file__.rpartition("/json")[0]])
    assert dict(shadowing(tmp_path / "site")) == {}
