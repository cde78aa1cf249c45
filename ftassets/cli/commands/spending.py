"""What loops cost: runs, cycles, promoted models and serving, by the prices of their loop files."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from ftassets.backends.control.base import Control
from ftassets.backends.control.spending import spending
from ftassets.backends.traffic_log.base import TrafficLog
from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.overview import Spending


def spendings(
    control: Control, log: TrafficLog, loops: dict[str, LoopConfig], now: float, months: int, tokens_per_day: float | None
) -> Iterator[Spending]:
    """Each loop's in turn; see `spending`."""
    for loop in loops.values():
        yield spending(control, log, loop, now, months, tokens_per_day)


def document(found: Spending) -> dict[str, Any]:
    """The summary as plain JSON."""
    plain: dict[str, Any] = TypeAdapter(Spending).dump_python(found, mode="json")
    return plain
