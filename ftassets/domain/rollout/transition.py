"""One change of where a loop's traffic goes, as the journal records it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ftassets.domain import formats
from ftassets.domain.rollout.endpoint import EndpointState


@dataclass(frozen=True)
class Transition:
    """One entry of the endpoint's journal."""

    number: int
    at: float
    loop: str
    action: str  # shadow, start, ramp, promote, rollback, expire, stage, unstage
    by: str  # run:<id>, sensor:<name>, a login name, lease, gateway
    reason: str
    state: EndpointState

    @property
    def moves_traffic(self) -> bool:
        """Whether users notice it: a staged version has no weight."""
        return self.action not in ("stage", "unstage")

    def to_json(self) -> dict[str, Any]:
        """The transition as a JSON object, on disk and over HTTP."""
        return formats.stamp("journal_entry", {**vars(self), "state": self.state.model_dump()})

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> "Transition":
        """The transition of such an object. Raises NewerFormat, ValueError, KeyError or TypeError."""
        entry = formats.read("journal_entry", entry)
        return cls(**{**entry, "state": EndpointState.model_validate(entry["state"])})


def newest_begin(transitions: Sequence[Transition]) -> int | None:
    """The place of the transition with which the newest rollout began, in shadow or with a weight; None without one.

    `transitions` are of one loop, oldest first. A canary that follows a shadow is part of the same rollout.
    """
    for place, each in reversed([*enumerate(transitions)]):
        before = transitions[place - 1].state if place else None
        after_shadow = before is not None and before.in_shadow and before.candidate == each.state.candidate
        if each.action == "shadow" or (each.action == "start" and not after_shadow):
            return place
    return None
