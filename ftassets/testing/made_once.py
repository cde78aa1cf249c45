"""Files that take seconds to make and are the same for many tests: made once, then copied."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

VARIABLE = "FTASSETS_TESTS_MADE"  # names the folder that all processes of a test run share; without it each has its own


def made_once(name: str, target: Path, make: Callable[[Path], object]) -> Path:
    """A copy at `target` of the file or folder `make` writes at the path it is given. `name` must tell apart what differs."""
    original = Path(os.environ.get(VARIABLE) or _own_folder()) / name
    with FileLock(original.with_name(f"{name}.lock")):
        if not original.exists():
            half = original.with_name(f"{name}.half")
            make(half)
            half.rename(original)
    target.parent.mkdir(parents=True, exist_ok=True)
    if original.is_dir():
        shutil.copytree(original, target, dirs_exist_ok=True)
    else:
        shutil.copy(original, target)
    return target


def mlflow_tables(folder: Path) -> str:
    """URI of a new MLflow database in the folder, with its tables and nothing in them."""

    def make(path: Path) -> None:
        from ftassets.backends.registry.mlflow import MlflowRegistry

        MlflowRegistry(f"sqlite:///{path}", path.parent).versions("none")

    return f"sqlite:///{made_once('mlflow.db', folder / 'mlflow.db', make)}"


@functools.cache
def _own_folder() -> str:
    folder = tempfile.mkdtemp(prefix="ftassets-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
