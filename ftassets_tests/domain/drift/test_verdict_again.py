"""The verdict of a report follows from what is stored in it: statistics, thresholds and windows."""

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.drift import PRESETS, Comparison, by_fixed_rule, not_enough_data
from ftassets.domain.drift.accumulation import Evidence, Spread, WindowEvidence, evidence, with_evidence
from ftassets.domain.drift.comparison import ALARMS, Statistic, verdict_of
from ftassets.domain.drift.verdict_again import stored_verdict, verdict_again
from ftassets.errors import InvalidInput

SPREAD = Spread(0.001, 0.001)


def report(comparison: Comparison, windows: list[WindowEvidence] | None = None, found: Evidence | None = None) -> dict[str, Any]:
    """What is stored of a comparison."""
    return {
        "verdict": comparison.verdict.value,
        "reason": comparison.reason,
        "statistics": [asdict(each) for each in (*comparison.statistics, *comparison.informing)],
        "accumulated": {
            "evidence": found and found.value,
            "over_windows": found.windows if found else 0,
            "windows": [asdict(each) for each in windows or []],
            "spread": found and asdict(SPREAD),
        },
    }


def compared(values: list[float]) -> Comparison:
    statistics = tuple(Statistic(name, value, 0.5, 0.01) for name, value in zip(ALARMS, values, strict=True))
    informing = tuple(Statistic(name, 0.2, 0.1, 0.01, informs_only=True) for name in PRESETS)
    return Comparison(*verdict_of(statistics), statistics, informing)


VALUES = st.lists(st.floats(0, 1), min_size=len(ALARMS), max_size=len(ALARMS))


@settings(deadline=None, max_examples=60)
@given(VALUES, st.lists(st.floats(-2, 6), max_size=6), st.floats(1, 50))
def test_a_report_comes_out_the_same_and_one_that_was_changed_does_not(values: list[float], scores: list[float], limit: float) -> None:
    windows = [WindowEvidence(float(day), day + 1.0, 500, z) for day, z in enumerate(scores)]
    found = evidence(windows, SPREAD)
    comparison = with_evidence(compared(values), found, limit)
    stored = report(comparison, windows, found)
    assert verdict_again(stored) == stored_verdict(stored)
    other = {**stored, "verdict": "QUIET" if stored["verdict"] == "ALARM" else "ALARM"}
    assert verdict_again(other) != stored_verdict(other)
    if windows:
        other = {**stored, "accumulated": {**stored["accumulated"], "windows": stored["accumulated"]["windows"] * 2, "over_windows": 99}}
        assert verdict_again(other) != stored_verdict(other)


@given(VALUES)
def test_so_does_one_by_a_fixed_rule_and_one_without_enough_data(values: list[float]) -> None:
    for name, limit in PRESETS.items():
        stored = report(by_fixed_rule(compared(values), name, limit))
        assert verdict_again(stored) == stored_verdict(stored)
    stored = report(not_enough_data("4 queries in the window, 50 are needed"))
    assert verdict_again(stored) == stored_verdict(stored)


def test_a_report_of_before_variances_were_stored_says_so() -> None:
    stored = report(compared([0.1] * len(ALARMS)), [], Evidence(1.0, 0))
    del stored["accumulated"]["spread"]
    with pytest.raises(InvalidInput, match="does not have the variances"):
        verdict_again(stored)
