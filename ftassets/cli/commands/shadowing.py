"""Modules of a folder that Python would import in place of a library."""

import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

_OWN = {"__init__", "__main__", "conftest", "setup", "test", "tests"}  # names that many libraries install and nothing imports


def shadowing(folder: Path) -> Iterator[tuple[str, str]]:
    """File or package of the folder, and the library of that name, for each one that comes first when the folder does.

    That is so for `python -m`, for `dg dev` and for Dagster while it loads the definitions of a project.
    """
    here = folder.resolve()
    modules = [path for path in sorted(here.iterdir()) if path.suffix == ".py" or (path / "__init__.py").is_file()] if here.is_dir() else []
    elsewhere = [place for place in sys.path if place and not Path(place).resolve().is_relative_to(here)]
    for path in modules:
        found = PathFinder.find_spec(path.stem, elsewhere) if path.stem not in _OWN and path.stem.isidentifier() else None
        if found and found.origin and not Path(found.origin).resolve().is_relative_to(here):
            yield path.name, found.origin
