"""The backends of a profile as Dagster resources."""

import functools
from collections.abc import Callable
from typing import Any

import dagster as dg

from ftassets.automation import ownership
from ftassets.automation.mlflow_bridge import mlflow_run
from ftassets.config.home import Home
from ftassets.config.profiles import backend, backends


def resources(home: Home | None = None) -> dict[str, dg.ResourceDefinition]:
    """The backends as Dagster resources, for `Definitions(resources=...)`; raises ConfigurationError as `backends` does.

    They are the same objects each time, so that definitions which have them in two places can be merged.
    """
    where = home or Home.from_env()
    return dict(_resources(where, tuple(backends(where))))


@functools.cache
def _resources(home: Home, capabilities: tuple[str, ...]) -> dict[str, dg.ResourceDefinition]:
    made = {name: _lazily(functools.partial(backend, home, name)) for name in capabilities}
    return {**made, "home": _lazily(lambda: home), "mlflow": mlflow_run}


def _lazily(make: Callable[[], Any]) -> dg.ResourceDefinition:
    def create(context: dg.InitResourceContext) -> Any:
        # whatever a run does, it opens a resource: here it names the process that executes it
        if context.instance and context.dagster_run:
            ownership.claim(context.instance, context.dagster_run.run_id)
        return make()

    return dg.ResourceDefinition(create)
