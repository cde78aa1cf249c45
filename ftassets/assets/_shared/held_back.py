"""What the promotion of the version in production gained, as the traffic log counts it."""

from collections.abc import Sequence

import dagster as dg

from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.hold_back import Gain, gains
from ftassets.reporting.tables import table

_HEAD = ("share of answers", "version before", "production", "change, points", "from", "to", "users before", "users now")


def promotion_gains(log: TrafficLog, loop: LoopConfig, state: EndpointState) -> list[Gain]:
    """Each guardrail's change since the promotion; none where no users are held back."""
    if state.held_back is None or state.standby is None or state.production is None:
        return []
    since = state.held_back.since
    now, before = (log.lapse_counts(loop.name, version, since, float("inf"), {}) for version in (state.production, state.standby))
    return gains(now, before, loop.rollout)


def gains_table(found: Sequence[Gain]) -> dict[str, dg.MetadataValue]:
    """The changes as metadata `hold_back`; nothing without any."""
    rows = [
        (
            each.metric,
            each.before.rate,
            each.production.rate,
            100 * (each.production.rate - each.before.rate),
            _points(each.low),
            _points(each.high),
            each.before.users,
            each.production.users,
        )
        for each in found
    ]
    return {"hold_back": table(_HEAD, rows)} if rows else {}


def _points(bound: float) -> float | str:
    return "too few users" if abs(bound) == float("inf") else 100 * bound
