"""Runs of a home that hold its loops up although nothing executes them."""

import os
from collections.abc import Iterable

from ftassets.config.home import Home


def stuck_runs_of_home(home: Home, loops: Iterable[str]) -> dict[str, list[str]]:
    """Sentences about the stuck runs of each loop, from the Dagster instance that DAGSTER_HOME names, else the one below the home.

    Nothing where neither has run yet. Raises what Dagster raises for a storage that cannot be read.
    """
    if not os.environ.get("DAGSTER_HOME") and not home.dagster_storage.is_dir():
        return {}
    from ftassets.automation.instance import open_instance
    from ftassets.automation.stuck import stuck_runs

    with open_instance(home) as instance:
        return stuck_runs(instance, loops)
