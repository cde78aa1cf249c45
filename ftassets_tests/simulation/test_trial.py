"""A simulated candidate before the loop's gates: which ones decide, and what they find."""

from typing import Any

import numpy as np
import pytest

from ftassets.simulation.trial import Candidate, judge
from ftassets.testing.releases import loop_config

BETTER = {"metric": "exact_match", "better_than": "production"}
SAFE = {"metric": "exact_match", "slice": "established", "no_worse_than": "production", "margin": 0.05}
NEW = {"metric": "exact_match", "slice": "drifted", "better_than": "production"}
HELD = {"metric": "exact_match", "slice": "held_out", "at_least": 0.8}
TOPICS = ["lights"] * 600 + ["timers"] * 200


GATES: dict[str, dict[str, Any]] = {"better": BETTER, "safe": SAFE, "new": NEW, "held": HELD}


def verdicts(gates: list[dict[str, Any]], ours: dict[str, float], theirs: dict[str, float]) -> list[str]:
    loop, known = loop_config("support", gates=gates), frozenset({"lights"})
    found = judge(loop, Candidate("c", "p", ours.__getitem__, theirs.__getitem__), known, TOPICS, TOPICS[:300], np.random.default_rng(0))
    return [each.verdict.value for each in found]


@pytest.mark.parametrize(
    ("lights", "timers", "passed"),
    [(0.95, 0.9, {"better", "safe", "new", "held"}), (0.7, 0.9, {"new"}), (0.95, 0.3, {"safe", "held"}), (0.7, 0.1, set())],
)
def test_gates_on_right_answers_decide_by_slice(lights: float, timers: float, passed: set[str]) -> None:
    found = verdicts([*GATES.values()], {"lights": lights, "timers": timers}, {"lights": 0.95, "timers": 0.3})
    assert {name for name, verdict in zip(GATES, found, strict=True) if verdict == "PASS"} == passed


def test_gates_that_are_not_simulated_are_left_out() -> None:
    ours = theirs = {"lights": 0.9, "timers": 0.9}
    assert verdicts([{"metric": "latency_p95", "no_worse_than": "production", "margin": 0.2}], ours, theirs) == []
