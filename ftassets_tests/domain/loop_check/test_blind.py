"""Monitors that cannot see what they are for."""

from typing import Any

import pytest

from ftassets.domain.loop_check.blind import blind
from ftassets.testing.releases import loop_config


@pytest.mark.parametrize(
    ("golden", "settings", "kinds"),
    [
        (200, {}, []),
        (0, {}, []),  # the golden set has a finding of its own
        (4, {}, ["floor_without_rows"]),
        (5, {}, []),
        (5, {"monitors": {"every": "0 * * * *"}}, ["floor_without_rows"]),
        (200, {"monitors": {"sample": 4}}, ["floor_without_rows"]),
        (4, {"monitors": {"golden_floor": 0}}, []),
        (200, {"monitors": {"quality_drop": 0.01}, "retrain_on": {"quality_drop": 0.015}}, ["drop_below_noise"] * 2),
        (200, {"retrain_on": {"drift": {"window": "1h"}}}, ["drift_unseen"]),
        (200, {"retrain_on": {"drift": {"window": "1h", "every": "0 * * * *"}}}, []),
        (200, {"retrain_on": {"drift": {"every": "0 6 * * 1-5"}}}, ["drift_unseen"]),  # three days over the weekend
    ],
)
def test_what_cannot_be_seen_is_told_with_its_setting(golden: int, settings: dict[str, Any], kinds: list[str]) -> None:
    found = list(blind(loop_config("support", **settings), golden))
    assert [each.kind for each in found] == kinds
    for each in found:
        assert each.severity == "warning"
        assert each.text.startswith(".".join(map(str, each.field)))
