"""What a loop costs, from what is recorded of its runs, its endpoint and its traffic; and whether one more run may start."""

from collections.abc import Collection
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from ftassets.backends.control.base import Control
from ftassets.backends.control.journal import read_transitions
from ftassets.backends.control.releases import adopted_versions
from ftassets.backends.control.served import count_served
from ftassets.backends.control.usage import read_usage
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.budget import LOOK_BACK, SPENDS, Balance, balance, month_of
from ftassets.domain.spending.overview import Change, Spending, overview

MONTHS = 12  # that are told of, the current one included


def spending(
    control: Control, log: TrafficLog, loop: LoopConfig, now: float, months: int = MONTHS, tokens_per_day: float | None = None
) -> Spending:
    """What the loop cost in the last calendar months at `now` (epoch seconds), the current one included; see `overview`.

    Raises StateDamaged, OSError, and what the log raises.
    """
    since, _ = month_of(now, loop.timezone)
    for _ in range(months - 1):
        before = datetime.fromtimestamp(since, ZoneInfo(loop.timezone)) - timedelta(days=1)
        since, _ = month_of(before.timestamp(), loop.timezone)
    changes = [Change(each.at, each.state.production, frozenset(each.state.running)) for each in read_transitions(control, loop.name)]
    served = count_served(control, log, loop.name, now)
    adopted = frozenset(adopted_versions(control, loop.name))
    return overview(loop, read_usage(control, loop.name, since, now), changes, served, since, now, tokens_per_day, adopted)


def budget_now(control: Control, loop: LoopConfig, nodes: Collection[str], now: float, run_id: str | None = None) -> Balance | None:
    """The loop's budget before a run of these nodes; None without one, and for a run that has begun. Raises StateDamaged, OSError."""
    if loop.budget is None:
        return None
    entries = read_usage(control, loop.name, now - LOOK_BACK, now)
    if any(entry.run_id == run_id and entry.node in SPENDS and entry.ended not in (None, "over_budget") for entry in entries):
        return None
    return balance(loop, entries, nodes, now)
