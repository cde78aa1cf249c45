"""The project around a folder, as `dg` itself reads it."""

import re
from pathlib import Path

import pytest
from dagster_dg_core.context import DgContext

from ftassets.config.dagster_project import project_around
from ftassets.errors import ConfigurationError

TABLE = '[tool.dg]\ndirectory_type = "project"\n\n[tool.dg.project]\nroot_module = "shop"\n'


def write(folder: Path, text: str = TABLE, name: str = "pyproject.toml", defs: str = "src/shop/defs") -> Path:
    """A project as `create-dagster` writes it."""
    (folder / defs).mkdir(parents=True)
    (folder / name).write_text(text)
    return folder


LAYOUTS = {
    "create-dagster": (TABLE, "pyproject.toml", "src/shop/defs"),
    "without src": (TABLE, "pyproject.toml", "shop/defs"),
    "definitions instead of defs": (TABLE, "pyproject.toml", "src/shop/definitions"),
    "defs_module": (TABLE + 'defs_module = "shop.loops.ours"\n', "pyproject.toml", "src/shop/loops/ours"),
    "names of its own": (
        TABLE + 'code_location_name = "till"\ncode_location_target_module = "shop.all"\n', "pyproject.toml", "src/shop/defs",
    ),
    "dg.toml": ('directory_type = "project"\n[project]\nroot_module = "shop"\n', "dg.toml", "src/shop/defs"),
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_what_dg_reads(layout: str, tmp_path: Path) -> None:
    text, name, defs = LAYOUTS[layout]
    root = write(tmp_path / "the shop", text, name, defs)
    theirs = DgContext.for_project_environment(root, {})
    for inside in (root, root / defs):
        ours = project_around(inside)
        assert ours is not None
        assert (ours.root, ours.config) == (root, root / name)
        assert ours.defs == theirs.defs_path == root / defs
        assert ours.module == theirs.code_location_target_module_name
        assert ours.location == theirs.code_location_name
        assert ours.sources == theirs.root_module_path.parent
        assert ours.python is None
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").touch()
    assert ours.python == theirs.project_python_executable


def test_what_is_no_project_is_passed_over(tmp_path: Path) -> None:
    root = write(tmp_path)
    inner = root / "library"
    for text in ('[project]\nname = "x"\n', '[tool.dg]\ndirectory_type = "workspace"\n', "[tool]\ndg = 1\n", "not toml at all"):
        inner.mkdir(exist_ok=True)
        (inner / "pyproject.toml").write_text(text)
        found = project_around(inner)
        assert found is not None
        assert found.root == root
    assert project_around(tmp_path.parent) is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("pyproject.toml", TABLE + "x = ", "which describes a Dagster project, is not valid TOML: "),
        ("dg.toml", "[", "which describes a Dagster project, is not valid TOML: "),
        ("pyproject.toml", "[tool.dg.project]\n", "describes a Dagster project without root_module: name its package there"),
        ("dg.toml", "[project]\nroot_module = 3\n", "describes a Dagster project without root_module"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_named(name: str, text: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, text, name)
    with pytest.raises(ConfigurationError, match=f"^{re.escape(str(tmp_path / name))},? .*{re.escape(message)}"):
        project_around(tmp_path)


def test_a_configuration_that_is_no_text_is_named(tmp_path: Path) -> None:
    for content in (b"[tool.dg.project] # \xff", TABLE.encode("utf-16")):
        (tmp_path / "pyproject.toml").write_bytes(content)
        with pytest.raises(ConfigurationError, match="pyproject.toml cannot be read: it is not UTF-8 text"):
            project_around(tmp_path)
    (tmp_path / "pyproject.toml").write_bytes('[project]\nname = "x"\n'.encode("utf-16"))
    assert project_around(tmp_path) is None, "not a project of Dagster"
