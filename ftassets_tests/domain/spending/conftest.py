"""A loop with prices, and entries of its runs."""

from typing import Any

import pytest

from ftassets.config.loop import LoopConfig
from ftassets.domain.spending.usage import Usage, UsageEntry


def loop_with(**changes: Any) -> LoopConfig:
    return LoopConfig.model_validate(
        {
            "name": "support",
            "base_model": "base",
            "task": {"system_prompt": "Answer."},
            "golden_set": "golden.jsonl",
            "dataset": {"seed": "seed.jsonl"},
            "gates": [{"metric": "exact_match", "better_than": "production"}],
            "prices": {"usd_per_cpu_hour": 3.6},
            "budget": {"usd_per_month": 10},
            "timezone": "Europe/Berlin",
            **changes,
        }  # fmt: skip
    )


def entry(run: str, node: str, at: float, cpu: float = 1.0, ended: str | None = "done", **known: Any) -> UsageEntry:
    """By default it took a second and cost 0.001 USD."""
    settings = {"id": f"{run}.{node}.{at}", "loop": "support", "run_id": run, "node": node, "for_release": True, "at": at, "until": at + 1}
    return UsageEntry.model_validate({**settings, "ended": ended, "usage": Usage(cpu_seconds=cpu), **known})


@pytest.fixture
def loop() -> LoopConfig:
    return loop_with()
