"""What holds for all tests."""

import functools
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

# read when torch and numpy come in: the workers share the cores, and threads that wait for each other burn them
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest  # noqa: E402
from alembic.script import ScriptDirectory  # noqa: E402
from hypothesis import settings  # noqa: E402
from xdist.scheduler import LoadScopeScheduling  # noqa: E402

from ftassets.testing.made_once import VARIABLE  # noqa: E402

if TYPE_CHECKING:
    from ftassets.testing.postgres_server import PostgresServer

# the same 50 examples in every run; `pytest --hypothesis-profile=default` looks for new ones, 100 of them
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")


def pytest_configure(config: pytest.Config) -> None:
    """One folder for what several processes of this run can share (made_once.py)."""
    if not hasattr(config, "workerinput"):
        os.environ[VARIABLE] = tempfile.mkdtemp(prefix="ftassets-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(VARIABLE, ""), ignore_errors=True)


def pytest_collection_finish() -> None:
    """Two things that would take minutes in all."""
    gc.freeze()  # what is imported by now stays: no need to look through it for garbage at each collection
    gc.set_threshold(20_000, 20, 20)
    # Dagster has alembic read forty files, the history of its tables, whenever it opens a database
    ScriptDirectory.from_config = functools.cache(ScriptDirectory.from_config)  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def postgres() -> Iterator["PostgresServer"]:
    """A server for all tests of a process; each takes a database of its own."""
    from ftassets.testing.postgres_server import PostgresServer, binaries

    if binaries() is None:
        pytest.skip("no PostgreSQL on this machine: apt-get install postgresql")
    with PostgresServer() as server:
        yield server


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests first, so that at the end no core waits for the others."""
    longest: dict[Path, float] = {}
    for item in items:
        if item.get_closest_marker("slow"):
            limit = item.get_closest_marker("timeout")
            longest[item.path] = max(longest.get(item.path, 0.0), limit.args[0] if limit else 1.0)
    items.sort(key=lambda item: -longest.get(item.path, 0.0))


class TwoWithModels(LoadScopeScheduling):
    """A file stays on one worker, and those that need the model libraries share two: to import them takes ten seconds a worker."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._scopes: dict[str, str] = {}

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::")[0]
        if file not in self._scopes:
            with_models = "pytest.mark.models" in (self.config.rootpath / file).read_text()
            others = sum(scope.startswith("models") for scope in self._scopes.values())
            # the longest come first: dealt out back and forth, both workers have about as much to do
            self._scopes[file] = f"models {(0, 1, 1, 0)[others % 4]}" if with_models else file
        return self._scopes[file]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return TwoWithModels(config, log)
