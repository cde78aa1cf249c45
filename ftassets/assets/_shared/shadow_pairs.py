"""The pairs of a candidate in shadow, as the traffic log counts them, and how they are shown."""

from collections.abc import Sequence
from typing import Any

from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import BEFORE, MOST_BEFORE, WINDOW, compared
from ftassets.domain.rollout.shadow_phase import PairState, ShadowEvidence
from ftassets.domain.rollout.transition import Transition, newest_begin

HEAD = ("of each pair", "pairs", "candidate", "production", "e-value", "limit")


def shadow_evidence(log: TrafficLog, loop: LoopConfig, state: EndpointState) -> ShadowEvidence:
    """What the log has of the pairs since the phase began, at `state.since`. It counts them; no text is read.

    Of the day before a bounded sample tells what is usual of production's latency and length.
    """
    candidate, production = str(state.candidate), str(state.production)
    before = log.ended(loop.name, production, state.since - BEFORE, state.since, MOST_BEFORE)
    pair = compared(candidate, production, before, loop.rollout)
    return ShadowEvidence(log.shadow_counts(loop.name, pair, state.since), log.discordant(loop.name, pair, state.since, WINDOW))


def newest_shadow(transitions: Sequence[Transition]) -> EndpointState | None:
    """The state in which the newest rollout began, if it began in shadow; `transitions` of one loop, oldest first."""
    begin = newest_begin(transitions)
    return transitions[begin].state if begin is not None and transitions[begin].state.in_shadow else None


def rows_of(states: Sequence[PairState]) -> list[tuple[Any, ...]]:
    """The numbers of the pairs, for a table under `HEAD`."""
    return [(each.metric, each.counts.pairs, each.counts.candidate, each.counts.production, each.e_value, each.limit) for each in states]
