"""Which definitions the code server loads, and what is said about those that cannot be used."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ftassets.config.home import Home
from ftassets.config.loops_folder import VARIABLE, LoopsFolder, loops_folder
from ftassets.errors import ConfigurationError
from ftassets.processes.code_location import OURS, CodeLocation, Loading, code_location, loading, need_packages, without_working_directory
from ftassets.testing.doubles.http import receiver
from ftassets_tests.config.test_dagster_project import write
from ftassets_tests.config.test_loops_folder import put_loop


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = write(tmp_path / "my project")
    put_loop(root / "src/shop/defs", "kitchen")
    return root


def loops(monkeypatch: pytest.MonkeyPatch, folder: Path) -> LoopsFolder:
    monkeypatch.setenv(VARIABLE, str(folder))
    return loops_folder(Home(folder / "home"))


def test_the_project_that_has_the_loops_is_loaded_as_dg_does(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = loops(monkeypatch, project / "src/shop/defs")
    code = code_location(found, None)
    assert code == CodeLocation("shop.definitions", "my project", sys.executable, str(project / "src"), str(project))
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").symlink_to(sys.executable)
    assert code_location(found, None).python == str(project / ".venv/bin/python")
    assert code_location(found, OURS) == CodeLocation(directory=str(tmp_path))
    assert code_location(loops(monkeypatch, project / "src/shop/defs/kitchen"), None) == CodeLocation(directory=str(tmp_path))


def test_definitions_are_named_as_module_or_file(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = loops(monkeypatch, put_loop(tmp_path / "elsewhere", "office"))
    (project / "src/shop/all.py").touch()
    (tmp_path / "alone.py").touch()
    monkeypatch.chdir(project)
    for named in ("shop.all", "src/shop/all.py", str(project / "src/shop/all.py")):
        code = code_location(found, named)
        assert (code.target, code.imports, code.directory) == ("shop.all", str(project / "src"), str(project))
        assert code.command(4000)[:8] == [sys.executable, "-P", "-m", "dagster", "code-server", "start", "-m", "shop.all"]
    monkeypatch.chdir(tmp_path)
    code = code_location(found, "alone.py")
    assert (code.target, code.imports, code.name) == (str(tmp_path / "alone.py"), str(tmp_path), "ftassets")
    assert code.command(4000)[6:8] == ["-f", str(tmp_path / "alone.py")]
    assert code_location(found, "alone").target == "alone"
    with pytest.raises(ConfigurationError, match=f"--definitions names {tmp_path}/nonesuch.py, which is not there"):
        code_location(found, "nonesuch.py")
    for bad in ("src/shop", "shop:defs", "", "-m"):
        with pytest.raises(
            ConfigurationError, match="--definitions takes the name of a module, for example shop.definitions, or a .py file"
        ):
            code_location(found, bad)


def test_an_interpreter_that_lacks_a_package_is_found_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    need_packages(CodeLocation())
    need_packages(CodeLocation("shop.definitions", imports=str(tmp_path)))
    with pytest.raises(ConfigurationError, match="has no package shop, which the definitions shop.definitions need: install it there, or"):
        need_packages(CodeLocation("shop.definitions"))
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    for python in ("python", "nonesuch"):
        with pytest.raises(ConfigurationError, match="cannot be run"):
            need_packages(CodeLocation(python=str(tmp_path / python)))


def test_empty_parts_of_the_import_path_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert without_working_directory(":/a:b:") == f"/a:{tmp_path}/b"
    assert without_working_directory("") == ""


def location(found: Any, name: str = "shop") -> dict[str, Any]:
    """What Dagster's webserver answers about one code location."""
    return {"data": {"workspaceOrError": {"locationEntries": [{"name": name, "locationOrLoadError": found}]}}}


def test_what_the_webserver_says_of_the_definitions() -> None:
    groups = [{"groupName": "kitchen"}, {"groupName": "default"}]
    error = {"className": "DagsterUserCodeLoadError", "message": "Error\n", "errorChain": [{"error": {"message": "KeyError: 'x'\n\n"}}]}
    cases: list[tuple[Any, Loading]] = [
        (location({"repositories": [{"assetGroups": groups}]}), Loading(True)),
        (location({"repositories": []}), Loading(True, absent=("kitchen",))),
        (location(error), Loading(True, "KeyError: 'x'")),
        (location({**error, "errorChain": []}), Loading(True, "Error")),
        (location({"className": "DagsterUserCodeUnreachableError", "message": "no server", "errorChain": []}), Loading(False)),
        (location(None), Loading(False)),
        (location({"repositories": []}, "another"), Loading(False)),
        ({"errors": ["?"]}, Loading(False)),
        ("no JSON", Loading(False)),
    ]
    with receiver() as server:
        for reply, expected in cases:
            server.replies = [(200, reply)]
            assert loading(server.url, "shop", ["kitchen"]) == expected, reply
    assert loading(server.url, "shop", ["kitchen"]) == Loading(False), "nothing listens there"
