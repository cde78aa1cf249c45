"""The backends of a profile as Dagster resources."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from ftassets.automation import ownership
from ftassets.automation.mlflow_bridge import mlflow_run
from ftassets.config.home import Home
from ftassets.config.profiles import backends


def resources(home: Home | None = None) -> dict[str, dg.ResourceDefinition]:
    """The backends as Dagster resources, for `Definitions(resources=...)`."""
    where = home or Home.from_env()

    made = {name: _lazily(make) for name, make in backends(where).items()}
    return {**made, "home": _lazily(lambda: where), "mlflow": mlflow_run}


def _lazily(make: Callable[[], Any]) -> dg.ResourceDefinition:
    def create(context: dg.InitResourceContext) -> Any:
        # whatever a run does, it opens a resource: here it names the process that executes it
        if context.instance and context.dagster_run:
            ownership.claim(context.instance, context.dagster_run.run_id)
        return make()

    return dg.ResourceDefinition(create)
