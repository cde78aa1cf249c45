"""What the loop costs: runs, promoted models and serving, by the prices of the loop file, month by month."""

import time
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg

from ftassets.assets._shared.failures import failing
from ftassets.assets._shared.node import asset
from ftassets.backends.control.base import Control
from ftassets.backends.control.spending import spending
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.overview import Spending, Sum
from ftassets.domain.spending.pricing import HOUR
from ftassets.domain.spending.words import cycle_table, month_table, node_table, sentences, version_table
from ftassets.reporting.plots import stacked_months
from ftassets.reporting.tables import table


def build(loop: LoopConfig) -> dg.AssetsDefinition:
    """The asset: a page for people; what it says is computed anew each time."""

    @asset(loop, __doc__, {"python"}, deps=["endpoint"])
    def cost_report(
        context: dg.AssetExecutionContext, control: dg.ResourceParam[Control], traffic_log: dg.ResourceParam[TrafficLog]
    ) -> dg.MaterializeResult:
        with failing():
            found = spending(control, traffic_log, loop, time.time())
        return dg.MaterializeResult(metadata=metadata(loop, found))

    return cost_report


def metadata(loop: LoopConfig, found: Spending) -> dict[str, Any]:
    """The page: sentences, a plot over time, tables, and numbers that Dagster plots from one materialization to the next."""
    priced = all(month.making.usd is not None and month.watching.usd is not None for month in found.months)

    def height(sums: Sum) -> float:
        return (sums.usd or 0.0) if priced else sums.usage.cpu_seconds / HOUR

    bars = [(each.month, height(each.making), height(each.watching)) for each in found.months]
    numbers = {
        "cpu_hours": found.runs.usage.cpu_seconds / HOUR,
        "gpu_hours": found.runs.usage.gpu_seconds / HOUR,
        "usd": found.runs.usd,
        "usd_this_month": found.balance.spent if found.balance else None,
        "usd_per_promoted_model": found.per_promoted.usd if found.per_promoted else None,
        "promoted_models": len(found.promoted),
    }
    against = found.against_api
    return {
        **sentences(found),
        **{name: value for name, value in numbers.items() if value is not None},
        "by_month": dg.MetadataValue.md(stacked_months("USD" if priced else "CPU hours", bars)),
        "months": table(*month_table(found)),
        "attempts": table(*cycle_table(found, ZoneInfo(loop.timezone))),
        "nodes": table(*node_table(found)),
        "versions": table(*version_table(found)),
        **({"calculation": "\n".join(against.calculation)} if against else {}),
        **({"hints": "; ".join(found.hints)} if found.hints else {}),
    }
