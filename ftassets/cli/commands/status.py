"""The state of all loops as one plain object, for people and scripts."""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ftassets.backends.control.pauses import pause_reason
from ftassets.backends.control.releases import Releases, StatementMissing
from ftassets.backends.serving.base import Serving, ServingError
from ftassets.backends.signer.base import SignatureInvalid
from ftassets.cli.commands import embedders
from ftassets.cli.commands.stuck import stuck_runs_of_home
from ftassets.config.home import Home
from ftassets.config.loops_folder import loops_of
from ftassets.config.profiles import control as control_of
from ftassets.config.profiles import serving, verifier
from ftassets.domain.release.statement import read_statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.transition import Transition

SHOWN = 50  # moves of a loop


def describe(home: Home) -> dict[str, Any]:
    """`{"gateway": "up" | reason, "loops": {name: {phase, weights, production, candidate, standby, mode, paused, journal, ...}}}`.

    `journal` are the newest moves of traffic, oldest first; `approvals` and `overrides` are what people signed; `notes` are sentences
    about them, about releases that do not count, about runs that nothing executes any more, and about an embedder that lacks its key or
    whose vectors are being made again.
    """
    client, control = serving(home), control_of(home)
    releases = Releases(control, verifier(home))
    vectors = embedders.vectors_of(home)
    now = time.time()
    try:
        client.health()
        gateway = "up"
    except ServingError as error:
        gateway = str(error)
    loops = {}
    configured = loops_of(home)
    stuck = stuck_runs_of_home(home, configured)
    for name, loop in configured.items():
        state, moves, unknown = EndpointState(), [], gateway != "up"
        notes: list[str] = []
        if not unknown:
            try:
                state, moves = client.state(name), _moves(client, name)
            except ServingError as error:  # a loop that was written after the gateway started
                unknown, notes = True, [f"the gateway does not serve it ({error}): start `ftassets up` again, which reads the loops"]
        overrides = list(releases.overrides(name))
        loops[name] = {
            "phase": "unknown" if unknown else state.phase,
            "weights": state.weights,
            "production": state.production,
            "candidate": state.candidate,
            "standby": state.standby,
            "mode": loop.mode,
            "paused": pause_reason(control, name),
            "approvals": [approval.model_dump() for approval in releases.approvals(name)],
            "overrides": [{**each.model_dump(), "expired": now >= each.expires_at} for each in overrides],
            "notes": [
                *notes,
                *(f"version {each.version[:12]}: {each.sentence}" for each in releases.approvals(name)),
                *(f"version {e.version[:12]}: {e.sentence}{' (expired)' if now >= e.expires_at else ''}" for e in overrides),
                *warnings(releases, name, state, now),
                *stuck.get(name, ()),
                *embedders.notes(loop, vectors),
            ],
            "journal": [
                {
                    "at": transition.at,
                    "action": transition.action,
                    "by": transition.by,
                    "weights": transition.state.weights,
                    "reason": transition.reason,
                }
                for transition in reversed(moves)
            ],
        }
    return {"gateway": gateway, "loops": loops}


def _moves(client: Serving, loop: str) -> list[Transition]:
    """The newest moves of a loop's traffic, newest first."""
    return list(islice((entry for entry in client.recent(loop) if entry.action not in ("stage", "unstage")), SHOWN))


def warnings(releases: Releases, loop: str, state: EndpointState, now: float) -> Iterator[str]:
    """What is wrong with the releases of the versions that run, and what that means for them."""
    for role, version in (("production", state.production), ("candidate", state.candidate), ("standby", state.standby)):
        if version is None:
            continue
        try:
            signed = releases.read(loop, version)
            expires = read_statement(signed.payload)[2].get("expires_at", now)
        except (StatementMissing, OSError, SignatureInvalid, ValueError) as error:
            yield f"{role} {version[:12]} has no sound release ({error}): it does not survive a restart of the gateway"
            continue
        if signed.revoked is not None:
            goes_on = "it serves until something else is released" if role == "production" else "it gets no more traffic"
            yield f"{role} {version[:12]} is signed by key {signed.key_id[:12]}, which was REVOKED ({signed.revoked}): {goes_on}"
        elif role == "candidate" and now >= expires:
            yield f"candidate {version[:12]}: its release has expired: it cannot receive more traffic"
