"""What the rollout sensor saw, as it is stored: how each guardrail stood, and with a move all that it rests on."""

from dataclasses import replace
from math import isfinite
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, TypeAdapter

from ftassets.config.loop import GuardrailMetric, Rollout
from ftassets.domain.formats import Stored
from ftassets.domain.rollout.canary import CanaryEvidence, GuardrailState, Move, RolloutDecision, decide
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import Failure
from ftassets.domain.rollout.shadow_phase import ShadowDecision, ShadowEvidence, ShadowMetric, decide_shadow

MOVES = (Move.RAMP, Move.PROMOTE, Move.ROLLBACK)
_APART = 0.02  # of the time since the first look: so far apart are the looks that are kept, some hundreds in a long rollout
_EVIDENCE = TypeAdapter(CanaryEvidence)
_PAIRS = TypeAdapter(ShadowEvidence)


class GuardrailLook(BaseModel):
    """How a guardrail stood: `e_value` and its `limit` for a rollback, `estimate`, `bound` and what the bound must be below to promote.

    The last three are differences of shares, candidate less production. None is what is not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: GuardrailMetric
    e_value: float
    limit: float
    estimate: float | None
    bound: float | None
    allowed: float
    needed: bool


class PairLook(BaseModel):
    """How pairs of a candidate in shadow and production stood in one respect: numbers of pairs and of either's lapses, and the evidence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: ShadowMetric
    pairs: int
    candidate: int
    production: int
    e_value: float
    limit: float


class Basis(BaseModel):
    """What a move rests on, so that it can be made again. Users are numbers here: who they are is in the traffic log alone."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: EndpointState
    evidence: dict[str, Any]
    policy: dict[str, Any]


class RolloutLook(Stored):
    """What the rollout sensor saw and decided at `at` (epoch seconds); weights in percent."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "rollout_look"

    at: float
    candidate: str
    production: str | None
    weight: int
    move: Move
    next_weight: int
    reason: str
    guardrails: tuple[GuardrailLook, ...] = ()
    pairs: tuple[PairLook, ...] = ()
    basis: Basis | None = None


def rollout_look(state: EndpointState, seen: CanaryEvidence, policy: Rollout, now: float, decision: RolloutDecision) -> RolloutLook:
    """The document of a decision about a canary; with its basis if it moves traffic."""
    basis = None
    if decision.move in MOVES:
        evidence = _EVIDENCE.dump_python(_without_names(seen), mode="json")
        basis = Basis(state=state, evidence=evidence, policy=policy.model_dump(mode="json"))
    return RolloutLook(
        at=now,
        candidate=str(state.candidate),
        production=state.production,
        weight=state.weight,
        move=decision.move,
        next_weight=decision.weight,
        reason=decision.reason,
        guardrails=tuple(_as_stored(each) for each in decision.guardrails),
        basis=basis,
    )


def shadow_look(state: EndpointState, seen: ShadowEvidence, policy: Rollout, now: float, decision: ShadowDecision) -> RolloutLook:
    """The document of a decision about a candidate in shadow; with its basis if it moves."""
    basis = None
    if decision.move in MOVES:
        numbers: dict[str, str] = {"": ""}
        unnamed = [replace(each, user=numbers.setdefault(each.user, str(len(numbers)))) for each in seen.discordant]
        evidence = _PAIRS.dump_python(replace(seen, discordant=unnamed), mode="json")
        basis = Basis(state=state, evidence=evidence, policy=policy.model_dump(mode="json"))
    return RolloutLook(
        at=now,
        candidate=str(state.candidate),
        production=state.production,
        weight=0,
        move=decision.move,
        next_weight=decision.weight,
        reason=decision.reason,
        pairs=tuple(
            PairLook(
                metric=each.metric,
                pairs=each.counts.pairs,
                candidate=each.counts.candidate,
                production=each.counts.production,
                e_value=each.e_value,
                limit=each.limit,
            )
            for each in decision.compared
        ),
        basis=basis,
    )


def is_kept(first: RolloutLook, last: RolloutLook, found: RolloutLook) -> bool:
    """Whether a look is worth a line after those that are kept of its candidate: it moves traffic, or the last one is some time ago."""
    asked_already = (last.move, last.weight, last.next_weight) == (found.move, found.weight, found.next_weight)  # its run has not begun
    return (found.move in MOVES and not asked_already) or found.at - last.at >= _APART * (found.at - first.at)


def decided_again(look: RolloutLook) -> RolloutDecision | ShadowDecision:
    """The decision that this release makes of what a move rested on. Raises ValueError for a look without a basis."""
    if look.basis is None:
        raise ValueError("this look moved no traffic: what it saw was not kept")
    state, policy = look.basis.state, Rollout.model_validate(look.basis.policy)
    if state.in_shadow:
        return decide_shadow(state, _PAIRS.validate_python(look.basis.evidence), policy, look.at)
    return decide(state, _EVIDENCE.validate_python(look.basis.evidence), policy, look.at)


def _as_stored(state: GuardrailState) -> GuardrailLook:
    numbers = {name: value if isfinite(value) else None for name in ("estimate", "bound") for value in (getattr(state, name),)}
    return GuardrailLook(
        metric=state.metric, e_value=state.e_value, limit=state.limit, allowed=state.allowed, needed=state.needed, **numbers
    )


def _without_names(seen: CanaryEvidence) -> CanaryEvidence:
    """The same evidence: an e-value asks only whether two lapses are of one user."""
    numbers: dict[str, str] = {"": ""}

    def numbered(failure: Failure) -> Failure:
        return replace(failure, user=numbers.setdefault(failure.user, str(len(numbers))))

    return replace(seen, failures={metric: [numbered(each) for each in failures] for metric, failures in seen.failures.items()})
