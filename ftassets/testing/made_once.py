"""What takes seconds to make and is the same for many tests: made by the first that needs it, copied by all."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

VARIABLE = "FTASSETS_TESTS_MADE"  # the folder all processes of a test run share, see conftest.py


def made_once(name: str, target: Path, make: Callable[[Path], object]) -> Path:
    """A copy at `target` of the file or folder `make` writes at the path it is given. `name` must tell apart what differs."""
    original = Path(os.environ[VARIABLE]) / name
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
