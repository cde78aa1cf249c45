"""The state of all loops as one plain object, for people and scripts."""

from typing import Any

from ftassets.automation.runs import pause_reason
from ftassets.domain.endpoint import EndpointState
from ftassets.home import Home
from ftassets.loop_files import read_loops
from ftassets.resources.serving.base import ServingError
from ftassets.resources.serving.embedded import GatewayServing


def describe(home: Home) -> dict[str, Any]:
    """`{"gateway": "up" | reason, "loops": {name: {phase, weights, production, candidate, standby, mode, paused, journal}}}`."""
    serving = GatewayServing(home)
    try:
        journal = serving.journal()
        gateway = "up"
    except ServingError as error:
        journal, gateway = [], str(error)
    loops = {}
    for name, loop in read_loops().items():
        state = serving.state(name) if gateway == "up" else EndpointState()
        loops[name] = {
            "phase": state.phase if gateway == "up" else "unknown",
            "weights": state.weights,
            "production": state.production,
            "candidate": state.candidate,
            "standby": state.standby,
            "mode": loop.mode,
            "paused": pause_reason(home, name),
            "journal": [
                {"at": shift.at, "action": shift.action, "by": shift.by, "weights": shift.state.weights, "reason": shift.reason}
                for shift in journal
                if shift.loop == name and shift.action not in ("stage", "unstage")
            ],
        }
    return {"gateway": gateway, "loops": loops}
