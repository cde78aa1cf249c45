"""Whether a run may start: what the month has cost so far, and what the run will, against the loop's budget."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.pricing import cost_of, dollars
from ftassets.domain.spending.usage import Usage, UsageEntry, total
from ftassets.domain.traffic.retention import DAY

# nodes that do not begin without a budget
SPENDS = frozenset({"synthetic_examples", "curated_dataset", "recipe_proposal", "adapter", "aligned_adapter", "eval_report"})
LOOK_BACK = 62 * DAY  # seconds in which what a node used tells what it will use


@dataclass(frozen=True)
class Balance:
    """A loop's budget in a month: `why` says why no run may start, None if one may. Sums are in US dollars.

    `spent` is None if a part has no price. `expected` is what the nodes of the run cost when they last ended.
    """

    month: str
    budget: float
    spent: float | None
    expected: float | None
    why: str | None


def month_of(now: float, timezone: str) -> tuple[float, float]:
    """Begin and end (epoch seconds) of the calendar month of a time."""
    first = datetime.fromtimestamp(now, ZoneInfo(timezone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.timestamp(), after.timestamp()


def balance(loop: LoopConfig, entries: Sequence[UsageEntry], nodes: Collection[str], now: float) -> Balance | None:
    """The budget before a run of these nodes; None without one. `entries` are those since `now` - LOOK_BACK.

    What has no price leaves no room: it may be any sum.
    """
    if loop.budget is None:
        return None
    limit, (first, _) = loop.budget.usd_per_month, month_of(now, loop.timezone)
    spent = cost_of(total([entry for entry in entries if entry.at >= first]), loop.prices)
    expected = cost_of(_expected(entries, nodes), loop.prices)
    month = f"{datetime.fromtimestamp(now, ZoneInfo(loop.timezone)):%B %Y}"
    why = None
    if missing := spent.not_priced or expected.not_priced:
        why = f"runs use what has no price ({', '.join(missing)}), so that the budget cannot be compared with it: add it to prices"
    elif spent.priced_usd >= limit or spent.priced_usd + expected.priced_usd > limit:
        more = f" and one more like the last costs {dollars(expected.priced_usd)}" if spent.priced_usd < limit else ""
        why = (
            f"runs of {month} cost {dollars(spent.priced_usd)}{more}, budget.usd_per_month is {dollars(limit)}: "
            "raise it, or wait for the next month"
        )
    return Balance(month, limit, spent.usd, expected.usd, why)


def _expected(entries: Sequence[UsageEntry], nodes: Collection[str]) -> Usage:
    """What each of the nodes used when it last ended well or was refused."""
    newest = {entry.node: entry.usage for entry in sorted(entries, key=lambda entry: entry.at) if entry.ended in ("done", "refused")}
    return sum((newest[name] for name in nodes if name in newest), Usage())
