"""Tells when somebody moved an alias or a stage in the registry. It moves no traffic, but tools of others may deploy by it."""

import dagster as dg

from ftassets.assets._shared.events import node
from ftassets.automation import runs
from ftassets.backends.control.base import Control
from ftassets.backends.notifier.base import Notifier
from ftassets.backends.notifier.routing import alert_about, routed
from ftassets.backends.registry.base import Registry
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.registry_labels import moved

EVERY = 600.0  # seconds between two looks: MLflow is slow to load, and may be a server


class RegistryWatch:
    """The labels of one loop as one process sees them from look to look."""

    def __init__(self, loop: LoopConfig) -> None:
        self._loop = loop
        self._next: float | None = None
        self._told: list[str] = []

    def look(
        self, instance: dg.DagsterInstance, registry: Registry, control: Control, notifier: Notifier, state: EndpointState, now: float
    ) -> None:
        """Report labels that were moved, and once that they are back; at most once in `EVERY` seconds, at `now` (epoch seconds).

        The first call of a process only begins to wait. Raises RegistryUnreachable, StateDamaged.
        """
        due = self._next
        if due is not None and now < due:
            return
        self._next = now + EVERY
        if due is None or state.production is None:  # before a first version there may be no registry
            return
        name = self._loop.name
        found = moved(registry.labels(name), state, {version.digest for version in registry.versions(name)}, now)
        if found == self._told:
            return
        again = f"to set them as the endpoint has them, materialize {name}/endpoint; a stage is removed in the registry"
        text = f"somebody moved labels in the registry: {'; '.join(found)}. No traffic follows; {again}"
        instance.report_runless_asset_event(
            dg.AssetObservation(node(name, "endpoint"), description=text if found else "the labels in the registry are right again")
        )
        if runs.status(self._loop) is dg.DefaultSensorStatus.RUNNING:
            tell = routed(control, self._loop, notifier)
            if found:
                tell.notify(alert_about(self._loop, "registry-moved", "labels were moved in the registry", text))
            else:
                tell.notify(alert_about(self._loop, "registry-moved", "labels are right again", "as the endpoint set them", resolved=True))
        self._told = found
