"""Moves of traffic that a person makes: the first weight of a release, and the next one of a candidate."""

from dataclasses import dataclass

from ftassets.backends.control.base import Control
from ftassets.backends.control.releases import Releases
from ftassets.backends.serving.base import Serving
from ftassets.backends.signer.base import Signer
from ftassets.config.loop import LoopConfig
from ftassets.domain.beginnings import the_one
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.shadow_phase import first_weight
from ftassets.errors import InvalidInput


@dataclass(frozen=True)
class Stores:
    """Where releases are, who moves traffic, and who knows the keys."""

    control: Control
    serving: Serving
    signer: Signer


def start(stores: Stores, loop: LoopConfig, version: str | None, weight: int | None, by: str, reason: str) -> EndpointState:
    """Give a released version its first weight in percent; unless given the loop's first step, or shadow where it comes before.

    `version` is the beginning of its digest; without it the newest release starts. Raises InvalidInput when there is no such release,
    ServingError when the gateway refuses it or cannot be reached.
    """
    releases = Releases(stores.control, stores.signer)
    if version is None:
        digest = releases.newest(loop.name)
        if digest is None:
            raise InvalidInput(f"nothing of {loop.name} was released yet")
    else:
        digest = the_one(version, releases.versions(loop.name), f"release of {loop.name}")
    first = weight or first_weight(loop.rollout, stores.serving.state(loop.name), digest)
    return stores.serving.start(loop.name, digest, first, loop.rollout.lease, by, reason)


def ramp(stores: Stores, loop: LoopConfig, weight: int | None, by: str, reason: str) -> EndpointState:
    """Change the candidate's weight in percent, to the loop's next step unless given. Raises ServingError."""
    step = weight or next((each for each in loop.rollout.steps if each > stores.serving.state(loop.name).weight), 100)
    return stores.serving.ramp(loop.name, step, loop.rollout.lease, by, reason)
