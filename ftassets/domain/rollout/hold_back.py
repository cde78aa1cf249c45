"""What a promotion gained, from the users who stayed on the version before: both versions answer at the same time."""

from collections.abc import Mapping
from dataclasses import dataclass

from ftassets.config.loop import GuardrailMetric, Rollout
from ftassets.domain.rollout.canary import limited_or_margin
from ftassets.domain.rollout.guardrails import LAPSES
from ftassets.domain.rollout.non_inferiority import difference
from ftassets.domain.traffic.lapses import LIMITED, Lapse, LapseCounts

ERROR = 0.05  # of each interval


@dataclass(frozen=True)
class Gain:
    """Of one guardrail, the answers of production and of the version before, and by how much the share that lapses has changed.

    `low` and `high` bound the change, production less the version before: below 0 is a gain. Infinite with too few users.
    """

    metric: GuardrailMetric
    production: LapseCounts
    before: LapseCounts
    low: float
    high: float


def gains(production: Mapping[Lapse, LapseCounts], before: Mapping[Lapse, LapseCounts], policy: Rollout) -> list[Gain]:
    """Each guardrail's change with its 95 % interval, which holds at all times at once, see `difference`.

    Latency and length have limits of a canary alone, and are left out.
    """
    found = []
    for guardrail in policy.guardrails:
        lapse, (scale, _) = LAPSES[guardrail.metric], limited_or_margin(guardrail)
        if lapse in LIMITED:
            continue
        now, then = production[lapse], before[lapse]
        low, high = -difference(then, now, scale, ERROR / 2).bound, difference(now, then, scale, ERROR / 2).bound
        found.append(Gain(guardrail.metric, now, then, low, high))
    return found
