"""Where the loop's traffic goes: every start, step and rollback is one materialization."""

from typing import Literal

import dagster as dg
from pydantic import Field

from ftassets.domain.endpoint import EndpointState
from ftassets.domain.loop import LoopConfig
from ftassets.lineage.events import node, required
from ftassets.lineage.node import describe
from ftassets.reporting.plots import rollout_steps
from ftassets.reporting.tables import markdown_table
from ftassets.resources.registry.base import Registry
from ftassets.resources.serving.base import Serving, ServingError, Shift


class EndpointAction(dg.Config):
    """What to do with the endpoint; without config it is looked at and reported."""

    action: Literal["report", "start", "ramp", "rollback"] = Field("report", description="start gives the newest release its first share")
    weight: int | None = Field(None, description="share in percent; default: the loop's next rollout step", ge=1, le=100)
    reason: str = Field("by hand", description="kept in the journal")


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset; its data version is the journal's newest number for the loop."""

    @dg.asset(
        key=node(loop.name, "endpoint"),
        deps=[node(loop.name, "release")],
        **describe(loop, __doc__, {"openai"}),
    )
    def endpoint(
        context: dg.AssetExecutionContext,
        config: EndpointAction,
        serving: dg.ResourceParam[Serving],
        registry: dg.ResourceParam[Registry],
    ) -> dg.MaterializeResult:
        by = f"run:{context.run_id}"
        state = serving.state(loop.name)
        lease = loop.rollout.lease
        try:
            if config.action == "start":
                digest = required(context.instance, node(loop.name, "release"))
                if digest not in (state.production, state.candidate):  # a repeated run changes nothing
                    state = serving.start(loop.name, digest, config.weight or loop.rollout.steps[0], lease, by, config.reason)
            elif config.action == "ramp":
                weight = config.weight or next((step for step in loop.rollout.steps if step > state.weight), 100)
                if state.candidate and weight != state.weight:
                    state = serving.ramp(loop.name, weight, lease, by, config.reason)
            elif config.action == "rollback":
                state = serving.rollback(loop.name, by, config.reason)
        except ServingError as error:
            raise dg.Failure(f"{config.action} refused: {error}", allow_retries=False) from error
        sync_registry(loop, registry, state)
        return dg.MaterializeResult(**event(loop, state, serving.journal(), config.reason))

    return endpoint


def sync_registry(loop: LoopConfig, registry: Registry, state: EndpointState) -> None:
    """Make the registry's labels say what the endpoint does: production, and deprecated for what was refused or replaced."""
    known = {version.digest: version for version in registry.versions(loop.name)}
    if state.production in known and "production" not in known[state.production].aliases:
        registry.set_alias(loop.name, "production", state.production)
    for digest, reason in [*((d, "rolled back") for d in state.refused), (state.standby, "replaced, kept as standby")]:
        if digest in known and "deprecated" not in known[digest].tags:
            registry.deprecate(loop.name, digest, reason)


def event(loop: LoopConfig, state: EndpointState, journal: list[Shift], reason: str) -> dict:
    """Data version and metadata of an endpoint materialization, from the state and the journal."""
    shifts = [shift for shift in journal if shift.loop == loop.name and shift.action not in ("stage", "unstage")]
    metadata: dict[str, dg.MetadataValue | str | int] = {
        "phase": state.phase,
        "weights": dg.MetadataValue.json({version[:12]: share for version, share in state.weights.items()}),
        "production": state.production or "none",
        "candidate": state.candidate or "none",
        "standby": state.standby or "none",
        "reason": reason,
        "journal": dg.MetadataValue.md(
            markdown_table(
                ["#", "action", "by", "weights", "reason"],
                [(s.number, s.action, s.by, {v[:12]: w for v, w in s.state.weights.items()}, s.reason) for s in shifts[-20:]],
            )
        ),
    }
    if steps := newest_rollout(shifts):
        metadata["rollout"] = dg.MetadataValue.md(rollout_steps(steps))
    return {"data_version": dg.DataVersion(str(shifts[-1].number if shifts else 0)), "metadata": metadata}


def newest_rollout(shifts: list[Shift]) -> list[tuple[float, int]]:
    """(time, share) of the version that was started last, from its start on."""
    starts = [index for index, shift in enumerate(shifts) if shift.action == "start"]
    if not starts:
        return []
    begun = shifts[starts[-1] :]
    digest = begun[0].state.candidate or begun[0].state.production
    return [(shift.at, shift.state.weights.get(digest or "", 0)) for shift in begun]
