"""`dg scaffold defs ftassets.FineTuneLoop NAME` in a Dagster project of somebody else."""

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from click.testing import CliRunner

from ftassets.cli.commands.check import check
from ftassets.config.loop_files import read_loops
from ftassets.config.starter import files

PROJECT = """\
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "shop"
"""
DEFINITIONS = """\
from pathlib import Path
from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What create-dagster makes, as far as it matters here."""
    package = tmp_path / "shop"
    (package / "defs").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    for name, text in (("__init__.py", ""), ("definitions.py", DEFINITIONS), ("defs/__init__.py", "")):
        (package / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("FTASSETS_HOME", str(tmp_path / "home"))
    return package / "defs"


def dg(*arguments: str) -> tuple[int, str]:
    from dagster_dg_cli.cli import create_dg_cli

    result = CliRunner().invoke(create_dg_cli(), list(arguments))
    return result.exit_code, result.output


def test_the_component_is_registered_with_the_package() -> None:
    assert [entry.value for entry in entry_points(group="dagster_dg_cli.registry_modules", name="ftassets")] == ["ftassets"]


def test_a_loop_and_its_resources_are_written_and_load(project: Path) -> None:
    code, said = dg("scaffold", "defs", "ftassets.FineTuneLoop", "mine", "--task", "text", "--base-model", "some/model")
    assert code == 0, said
    assert "ftassets check mine" in said
    assert {path.name: path.read_text() for path in (project / "mine").iterdir()} == files("mine", "text", "some/model")
    assert read_loops(project)["mine"].base_model == "some/model"
    assert [report.loop for report in check(project)] == ["mine"]
    loaded = "from shop.definitions import defs; print(sorted(key.to_user_string() for key in defs().resolve_all_asset_keys()))"
    found = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=False)
    assert "mine/curated_dataset" in found.stdout, found.stderr


def test_a_project_that_has_resources_keeps_its_own(project: Path) -> None:
    (project / "ours.py").write_text("import ftassets\nresources = ftassets.resources()\n")
    assert dg("scaffold", "defs", "ftassets.FineTuneLoop", "group/mine")[0] == 0
    assert sorted(path.name for path in project.iterdir() if path.suffix == ".py") == ["__init__.py", "ours.py"]
    assert (project / "group" / "mine" / "seed.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["Mine"], "a loop cannot be called 'Mine'"),
        (["mine", "--task", "poem"], "there is no task 'poem'"),
        (["mine", "--format", "python"], "leave --format out"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(project: Path, arguments: list[str], words: str) -> None:
    before = sorted(project.rglob("*"))
    code, said = dg("scaffold", "defs", "ftassets.FineTuneLoop", *arguments)
    assert code == 1
    assert words in said
    assert "Traceback" not in said
    assert sorted(project.rglob("*")) == before
