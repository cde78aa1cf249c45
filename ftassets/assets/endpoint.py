"""Where the loop's traffic goes: every start, step and rollback is one materialization."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import dagster as dg
from pydantic import Field

from ftassets.assets._shared.events import node, required
from ftassets.assets._shared.held_back import gains_table, promotion_gains
from ftassets.assets._shared.node import asset
from ftassets.assets._shared.shadow_pairs import HEAD, newest_shadow, rows_of, shadow_evidence
from ftassets.backends.control.base import Control
from ftassets.backends.control.rollout_looks import read_looks
from ftassets.backends.registry.base import Registry
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.canonical import canonical_json
from ftassets.domain.replicas import sentence
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.look import RolloutLook
from ftassets.domain.rollout.registry_labels import wanted_aliases
from ftassets.domain.rollout.shadow_phase import UNSEEN, agreement, first_weight, pair_states
from ftassets.domain.rollout.transition import Transition, newest_begin
from ftassets.reporting.plots import rollout_plot
from ftassets.reporting.tables import table


class EndpointAction(dg.Config):
    """What to do with the endpoint; without config the run only reports it."""

    action: Literal["report", "start", "ramp", "rollback"] = Field(
        "report", description="start gives the newest release its first weight, or starts it in shadow"
    )
    weight: int | None = Field(
        None, description="percent of traffic; default: the loop's next rollout step, after shadow where it has that", ge=1, le=100
    )
    candidate: str | None = Field(None, description="the version that ramp is about; with another candidate nothing changes")
    reason: str = Field("by hand", description="kept in the journal")


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset; its data version is the journal's newest number for the loop."""

    @asset(loop, __doc__, {"huggingface"}, deps=["release"])
    def endpoint(
        context: dg.AssetExecutionContext,
        config: EndpointAction,
        serving: dg.ResourceParam[Serving],
        registry: dg.ResourceParam[Registry],
        control: dg.ResourceParam[Control],
        traffic_log: dg.ResourceParam[TrafficLog],
    ) -> dg.MaterializeResult:
        by = f"run:{context.run_id}"
        state = serving.state(loop.name)
        lease = loop.rollout.lease
        try:
            if config.action == "start":
                digest = required(context.instance, node(loop.name, "release"))
                first = first_weight(loop.rollout, state, digest)
                if digest not in (state.production, state.candidate):  # a repeated run changes nothing
                    state = serving.start(loop.name, digest, first if config.weight is None else config.weight, lease, by, config.reason)
            elif config.action == "ramp":
                weight = config.weight or next((step for step in loop.rollout.steps if step > state.weight), 100)
                done = config.candidate is not None and state.production == config.candidate
                if not done and state.candidate and weight != state.weight:
                    state = serving.ramp(loop.name, weight, lease, by, config.reason, config.candidate)
            elif config.action == "rollback":
                state = serving.rollback(loop.name, by, config.reason)
        except ServingError as error:
            raise dg.Failure(f"{config.action} refused: {error}", allow_retries=False) from error
        journal = serving.journal()
        sync_registry(loop, registry, state, journal)
        made = event(loop, state, journal, config.reason, control)
        held = gains_table(promotion_gains(traffic_log, loop, state))
        metadata = made["metadata"] | _gateways(serving) | _shadow(loop, journal, traffic_log) | held
        return dg.MaterializeResult(data_version=made["data_version"], metadata=metadata)

    return endpoint


def _gateways(serving: Serving) -> dict[str, dg.MetadataValue | str]:
    """The gateways side by side with what each has in force, if there are several."""
    try:
        told = sentence(serving.health().get("replicas", []))
    except ServingError as error:
        told = str(error)
    return {"gateways": told} if told else {}


def _shadow(loop: LoopConfig, journal: Sequence[Transition], log: TrafficLog) -> dict[str, dg.MetadataValue | str]:
    """The pairs of the newest rollout, if it began in shadow."""
    began = newest_shadow([transition for transition in journal if transition.loop == loop.name and transition.moves_traffic])
    if began is None:
        return {}
    seen = shadow_evidence(log, loop, began)
    agreed = f"{agreement(seen.counts)}. {UNSEEN}"
    return {"shadow": table(HEAD, rows_of(pair_states(seen, loop.rollout))), "shadow_agreement": agreed}


def sync_registry(loop: LoopConfig, registry: Registry, state: EndpointState, journal: Sequence[Transition]) -> None:
    """Update the registry to the endpoint's state; repeating it changes nothing.

    Aliases: those of `wanted_aliases`. A candidate keeps its alias until it is promoted or rejected. A rejected or replaced
    version is tagged deprecated until it serves again; `history` records who changed its role, when and why.
    """
    known = {version.digest: version for version in registry.versions(loop.name)}
    held = {alias: digest for digest, version in known.items() for alias in version.aliases}
    for alias, digest in wanted_aliases(state, known).items():
        if digest in known and held.get(alias) != digest:
            registry.set_alias(loop.name, alias, digest)
        elif digest not in known and alias in held:
            registry.remove_alias(loop.name, alias)
    over = {*state.rejected, state.production, state.standby} - {state.candidate, None}
    if held.get("candidate") in over:
        registry.remove_alias(loop.name, "candidate")
    for digest, version in known.items():
        told = history(loop.name, digest, journal)
        tags: dict[str, str | None] = {"deprecated": _deprecated(digest, state, told, version.tags.get("deprecated"))}
        if told:
            tags["history"] = canonical_json(told).decode()
        changed = {name: value for name, value in tags.items() if version.tags.get(name) != value}
        if changed:
            registry.tag(loop.name, digest, changed)


def history(loop: str, digest: str, journal: Sequence[Transition]) -> list[dict[str, str]]:
    """Each change of the part a version plays (production, shadow, canary, standby, none): part, at (ISO 8601, UTC), by, action, reason."""
    told: list[dict[str, str]] = []
    part = "none"
    for transition in journal:
        now = _part(digest, transition.state)
        if transition.loop == loop and now != part:
            at = datetime.fromtimestamp(transition.at, UTC).isoformat(timespec="seconds")
            told.append({"part": now, "at": at, "by": transition.by, "action": transition.action, "reason": transition.reason})
            part = now
    return told


def _part(digest: str, state: EndpointState) -> str:
    parts = {"production": state.production, "shadow" if state.in_shadow else "canary": state.candidate, "standby": state.standby}
    return next((part for part, version in parts.items() if version == digest), "none")


def _deprecated(digest: str, state: EndpointState, told: Sequence[dict[str, str]], before: str | None) -> str | None:
    """Why a version is of the past; None while it serves or may still come to serve."""
    if digest in (state.production, state.candidate):
        return None
    if digest in state.rejected:
        last = next((each["reason"] for each in reversed(told) if each["action"] == "rollback"), None)
        return f"rolled back: {last}" if last else before or "rolled back"
    if digest == state.standby:
        return "replaced, kept as standby"
    served = any(part["part"] == "production" for part in told)
    return "replaced" if served else before


def event(loop: LoopConfig, state: EndpointState, journal: list[Transition], reason: str, control: Control) -> dict:
    """Data version and metadata of an endpoint materialization, from the state, the journal, and what the rollout sensor saw."""
    transitions = [transition for transition in journal if transition.loop == loop.name and transition.moves_traffic]
    metadata: dict[str, dg.MetadataValue | str | int] = {
        "phase": state.phase,
        "reason": reason,
        "weights": _weights(state) or "none",
        "production": (state.production or "none")[:12],
        "candidate": (state.candidate or "none")[:12],
        "standby": (state.standby or "none")[:12],
        "journal": table(
            ["#", "action", "by", "weights", "reason"],
            [(s.number, s.action, s.by, _weights(s.state), s.reason) for s in transitions[-20:]],
        ),
    }
    if newest := newest_rollout(transitions):
        digest, weights = newest
        looks = [look for look in read_looks(control, loop.name, digest) if look.at >= weights[0][0]]
        metadata["rollout"] = dg.MetadataValue.md(rollout_plot(weights, _guardrails(looks)))
    return {"data_version": dg.DataVersion(str(transitions[-1].number if transitions else 0)), "metadata": metadata}


def _weights(state: EndpointState) -> str:
    return ", ".join(f"{version[:12]} {weight} %" for version, weight in state.weights.items())


def newest_rollout(transitions: list[Transition]) -> tuple[str, list[tuple[float, int]]] | None:
    """The version that was started last, and (time, share) from its start on."""
    begin = newest_begin(transitions)
    if begin is None:
        return None
    begun = transitions[begin:]
    digest = begun[0].state.newest or ""
    return digest, [(transition.at, transition.state.weights.get(digest, 0)) for transition in begun]


def _guardrails(looks: Sequence[RolloutLook]) -> dict[str, list[tuple[float, float | None, float | None, float, float]]]:
    """By guardrail, as `rollout_plot` takes it."""
    found: dict[str, list[tuple[float, float | None, float | None, float, float]]] = {}
    for look in looks:
        for each in look.guardrails:
            point = (look.at, each.estimate, each.bound, each.allowed, each.e_value / each.limit)
            found.setdefault(each.metric, []).append(point)
    return found
