"""The Dagster project a folder is in, read from its configuration as `dg` reads it, without Dagster."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftassets.errors import ConfigurationError

FILES = ("dg.toml", "pyproject.toml")  # in one folder the first counts


@dataclass(frozen=True)
class DagsterProject:
    """A project that `dg` knows: where its definitions are, and what loads them.

    `config` is the file that describes it, `sources` the folder Python imports the project's package from (`src` or the project's own),
    `defs` the folder with its components, `module` what a code server loads, `location` the name of its code location.
    """

    config: Path
    sources: Path
    defs: Path
    module: str
    location: str

    @property
    def root(self) -> Path:
        return self.config.parent

    @property
    def python(self) -> Path | None:
        """The interpreter of the project's own virtual environment, if it has one: what `dg` runs the project with."""
        return next((path for path in (self.root / ".venv/bin/python", self.root / ".venv/Scripts/python.exe") if path.exists()), None)


def project_around(folder: Path) -> DagsterProject | None:
    """The nearest project at or above a folder. Raises ConfigurationError for a configuration that cannot be read."""
    for place in (folder.resolve(), *folder.resolve().parents):
        for name in FILES:
            if (found := _settings(place / name)) is not None:
                return _project(place / name, found)
    return None


def _settings(path: Path) -> Mapping[str, Any] | None:
    """The table `[tool.dg.project]` of a file (of dg.toml: `[project]`); None without a file or without that table."""
    try:
        text = path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        if path.name != "dg.toml" and b"tool.dg" not in path.read_bytes().replace(b"\0", b""):  # of UTF-16 the letters are left
            return None
        raise ConfigurationError(f"{path} cannot be read: it is not UTF-8 text (byte {error.start})") from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if path.name == "dg.toml" or "[tool.dg" in text:
            raise ConfigurationError(f"{path}, which describes a Dagster project, is not valid TOML: {error}") from error
        return None
    table = found if path.name == "dg.toml" else _table(_table(found, "tool"), "dg")
    project = table.get("project")
    return project if isinstance(project, Mapping) else None


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = settings.get(name)
    return value if isinstance(value, Mapping) else {}


def _project(config: Path, settings: Mapping[str, Any]) -> DagsterProject:
    root_module, defs_module = settings.get("root_module"), settings.get("defs_module")
    package = root_module or str(defs_module or "").partition(".")[0]
    if not isinstance(package, str) or not package:
        raise ConfigurationError(f"{config} describes a Dagster project without root_module: name its package there")
    root = config.parent
    sources = root / "src" if (root / "src" / package.split(".")[0]).exists() else root
    # `dg` takes the folder `definitions` where there is no `defs`
    names = [str(defs_module)] if defs_module else [f"{package}.defs", f"{package}.definitions"]
    folders = [sources.joinpath(*name.split(".")) for name in names]
    return DagsterProject(
        config=config,
        sources=sources,
        defs=next((folder for folder in folders if folder.is_dir()), folders[0]),
        module=str(settings.get("code_location_target_module") or f"{package}.definitions"),
        location=str(settings.get("code_location_name") or root.name),
    )
