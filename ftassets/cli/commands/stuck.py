"""Runs of a home that hold its loops up although nothing executes them."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ftassets.config.home import Home

if TYPE_CHECKING:
    import dagster as dg


@contextmanager
def instance_of_home(home: Home) -> "Iterator[dg.DagsterInstance | None]":
    """The Dagster instance that DAGSTER_HOME names, else the one below the home; None where neither has run yet.

    Raises what Dagster raises for a storage that cannot be read.
    """
    if not os.environ.get("DAGSTER_HOME") and not home.dagster_storage.is_dir():
        yield None
        return
    from ftassets.automation.instance import open_instance

    with open_instance(home) as instance:
        yield instance


def stuck_runs_of_home(home: Home, loops: Iterable[str]) -> dict[str, list[str]]:
    """Sentences about the stuck runs of each loop. Nothing where Dagster has not run yet. Raises what Dagster raises."""
    with instance_of_home(home) as instance:
        if instance is None:
            return {}
        from ftassets.automation.stuck import stuck_runs

        return stuck_runs(instance, loops)
