"""What a drift report will find of new topics, at the loop's window and budget of false alarms."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ftassets.config.cron import ticks_a_day
from ftassets.config.loop import Drift
from ftassets.domain.drift.budget import evidence_limit
from ftassets.domain.drift.reference import Reference
from ftassets.domain.drift.sensitivity import SEEN, SHARES, Power, found_over_windows, power, smallest_share
from ftassets.wording import amount

UNSEEN = (0.05, 0.10, 0.25)  # shares of new topics whose power is told
STAYING = (0.02, 0.05)  # shares of new topics that are looked for over several windows
DRAWS = 500  # windows: a probability of 0.5 is good to 0.04
OVER = 10  # windows over which evidence adds up in the plan, and runs of so many: a probability of 0.5 is good to 0.07
RUNS = 200
_DAY, _QUARTER = 86_400.0, 91.0


@dataclass(frozen=True)
class OverWindows:
    """The chance that evidence which adds up over `OVER` windows without a common query, each of so many `days`, finds a share of new
    topics that stay."""

    unseen_share: float
    probability: float
    days: float

    @property
    def sentence(self) -> str:
        """The same in words."""
        return (
            f"{self.unseen_share:.0%} new topics that stay are seen by what adds up over {OVER} windows, which take "
            f"{amount(round(self.days), 'day')}, with probability {self.probability:.2f}"
        )


@dataclass(frozen=True)
class DriftPlan:
    """Power of one report's alarm on windows of so many `queries`, by share of new topics, and the smallest share found in most of them;
    what is found `over_windows` together, by share too.

    New topics are as near to known ones as `sensitivity.power` has them. Without powers, the sentence says why.
    """

    queries: int
    powers: tuple[Power, ...]
    smallest: float | None
    sentences: tuple[str, ...]
    over_windows: tuple[OverWindows, ...] = ()

    @property
    def as_json(self) -> Mapping[str, Any]:
        """All of it; `reports` is null where an alarm practically never comes."""
        powers = [
            {"unseen_share": p.unseen_share, "probability": p.probability, "reports": p.reports if math.isfinite(p.reports) else None}
            for p in self.powers
        ]
        over = [asdict(each) for each in self.over_windows]
        return {
            "queries": self.queries, "powers": powers, "smallest_share": self.smallest, "over_windows": over,
            "sentences": list(self.sentences),
        }  # fmt: skip


def unplanned(policy: Drift, why: str) -> DriftPlan:
    """A plan without figures."""
    return DriftPlan(policy.sample, (), None, (f"which share of new topics is found is not known: {why}",))


def plan_drift(reference: Reference, policy: Drift, rate: float, per_day: float | None = None) -> DriftPlan:
    """The plan for reports against this reference at false-alarm rate `rate`.

    Windows have `policy.sample` queries, or fewer where traffic of `per_day` requests does not bring so many.
    """
    n = policy.sample if per_day is None else min(policy.sample, int(per_day * policy.window / _DAY))
    if n < policy.min_sample:
        found = (
            f"a window of {policy.window / 3600:g} h has about {amount(n, 'query', 'queries')}, fewer than min_sample {policy.min_sample}"
        )
        return unplanned(policy, f"{found}, so that reports are NOT ENOUGH DATA: make retrain_on.drift.window longer")
    try:
        powers = tuple(power(reference, n, rate, share, policy.consecutive, draws=DRAWS) for share in UNSEEN)
        smallest = smallest_share(reference, n, rate)
        over = _over_windows(reference, policy, n)
    except ValueError as error:
        return unplanned(policy, str(error))
    least = f"{smallest:.1%} of new topics is" if smallest is not None else f"not even {max(SHARES):.0%} of new topics are"
    near = f"{least} seen in {SEEN:.0%} of windows of {amount(n, 'query', 'queries')} if it is as near as the nearest known topics are to"
    said = f"{near} each other; one topic alone, or farther off, is seen more often"
    return DriftPlan(n, powers, smallest, (said, *(each.sentence for each in powers), *(each.sentence for each in over)), over)


def _over_windows(reference: Reference, policy: Drift, n: int) -> tuple[OverWindows, ...]:
    """What windows find together, where they are not so long that `OVER` of them take a quarter or more."""
    a_day = min(ticks_a_day(policy.every) or math.inf, _DAY / policy.window)
    if (days := OVER / a_day) > _QUARTER:
        return ()
    limit = evidence_limit(policy.false_alarms, policy.budget_reports)
    return tuple(OverWindows(share, found_over_windows(reference, n, limit, share, OVER, RUNS), days) for share in STAYING)
