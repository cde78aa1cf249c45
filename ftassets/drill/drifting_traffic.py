"""Drift: a topic arrives that production does not know, in simulated days with the loop's own drift settings."""

from pathlib import Path

import dagster as dg

from ftassets.config.home import Home
from ftassets.domain.drift import DriftVerdict
from ftassets.domain.traffic.retention import DAY
from ftassets.drill.copied_loop import CopiedLoop
from ftassets.simulation.months import Simulation
from ftassets.simulation.scenario import MOST_REQUESTS, Scenario
from ftassets.wording import amount

QUIET, SEEN = 5, 5  # days without drift, and days within which it must be seen
SHARE = 0.4  # of requests that are of the new topic


def drift(copy: CopiedLoop) -> tuple[bool, str]:
    """Quiet days raise no alarm, the new topic does."""
    policy = copy.loop.retrain_on.drift
    requests = min(MOST_REQUESTS, max(200.0, 1.5 * policy.sample * DAY / policy.window))
    event = {"day": QUIET, "topic": "drill", "share": SHARE}
    scenario = Scenario.model_validate({"requests": requests, "feedback": 0, "events": [event]})
    with dg.DagsterInstance.ephemeral() as instance:
        days = Simulation(copy.loop, scenario, Home(Path(copy.folder) / "simulated"), instance).days(QUIET + SEEN)
        for day in days:
            if day.drift != DriftVerdict.ALARM.value:
                continue
            if day.day < QUIET:
                return False, f"an alarm on day {day.day}, before anything changed"
            what = "on the day it came" if day.day == QUIET else f"{amount(day.day - QUIET, 'day')} after it came"
            return True, f"an alarm {what}; the retrain sensor: {day.decision}"
    return False, f"no alarm within {SEEN} days of a topic that {SHARE:.0%} of requests are of"
