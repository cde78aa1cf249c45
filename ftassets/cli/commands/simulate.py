"""Months of a loop by a scenario, printed day by day."""

import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg

from ftassets.config.home import Home
from ftassets.config.loop import LoopConfig
from ftassets.domain.drift import DriftVerdict
from ftassets.domain.gates.result import Verdict
from ftassets.simulation.months import Day, Simulation, costs
from ftassets.simulation.scenario import Scenario
from ftassets.wording import amount

_WRONG = {DriftVerdict.ALARM.value, Verdict.FAIL.value}


def run(loop: LoopConfig, scenario: Scenario, days: int) -> Iterator[Day | dict[str, Any]]:
    """Each simulated day as it passes, and then what the days cost. Everything is stored in a temporary folder, which is removed."""
    with tempfile.TemporaryDirectory(prefix="ftassets-simulation-") as folder, dg.DagsterInstance.ephemeral() as instance:
        simulation, found = Simulation(loop, scenario, Home(Path(folder)), instance), list[Day]()
        for day in simulation.days(days):
            found.append(day)
            yield day
        yield costs(simulation, found)


def as_json(day: Day) -> dict[str, Any]:
    """A day as plain JSON; alerts with their subject instead of links and keys."""
    alerts = [
        {"subject": each.subject, "detail": each.detail, "severity": each.severity, "resolved": each.resolved, "title": each.title}
        for each in day.alerts
    ]
    return asdict(day) | {"alerts": alerts}


def describe(day: Day, before: Day | None) -> list[str]:
    """What is new on a day, as lines for a terminal; none for a day like the one before."""
    lines = list(day.happened)
    for name in ("drift", "quality"):
        now, was = getattr(day, name), getattr(before, name) if before else None
        if now is not None and now != was and (was is None or {now, was} & _WRONG):
            lines.append(f"{name} report: {now}")
    for each in day.alerts:
        about = f" ({each.detail})" if each.detail else ""
        lines.append(f"{'resolved' if each.resolved else each.severity}: {each.title}{about}")
    if (kind := day.decision.partition(":")[0]) != (before.decision.partition(":")[0] if before else "") and kind != "RETRAIN":
        lines.append(day.decision)
    return [f"{day.day:>4}  {day.date}  {line}" for line in lines]


def summary(found: dict[str, Any], days: int) -> list[str]:
    """The costs, as lines for a terminal."""
    trainings = ", ".join(f"{count} {end}" for end, count in found["trainings"].items()) or "none"
    told = ", ".join(f"{count} {severity}" for severity, count in found["told"].items()) or "none"
    labels = amount(found["labels"], "label")
    moved = ", ".join(f"{count} {end}" for end, count in found["rollouts"].items()) or "none"
    lines = ["", f"{amount(days, 'day')}: {labels}; trainings: {trainings}; rollouts: {moved}"]
    lines.append(f"alerts: {told}; resolved: {found['resolved']}")
    if found["would_have_trained"]:
        lines.append(f"the loop only observes: in mode auto it would have trained {amount(found['would_have_trained'], 'time')}")
    return lines
