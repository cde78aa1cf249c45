"""What keeps the newest release from its first traffic, and what a person can do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from ftassets.domain.rollout.endpoint import EndpointState


class Obstacle(StrEnum):
    """Stable reason code."""

    ROLLED_BACK = "rolled_back"
    APPROVED_IN_VAIN = "approved_in_vain"
    COMPARED_WITH_ANOTHER = "compared_with_another"
    EXPIRED = "expired"
    GATES_CHANGED = "gates_changed"
    APPROVAL = "approval"
    OBSERVED = "observed"


@dataclass(frozen=True)
class InTheWay:
    """Why a release does not start by itself; `command` is what to type then, empty where none helps."""

    obstacle: Obstacle
    reason: str
    command: str = ""

    @property
    def sentence(self) -> str:
        """Reason and command."""
        return self.reason if self.command in self.reason else f"{self.reason}: {self.command}"


@dataclass(frozen=True)
class Offered:
    """A release as it waits for traffic.

    `predicate` is what was signed of it, empty when that is not known. `same_gates`: the loop file has the gates that it was evaluated
    with. `approval` is a valid approval's sentence, `not_approved` why it has no approval.
    """

    loop: str
    version: str
    predicate: Mapping[str, Any]
    same_gates: bool = True
    approval: str | None = None
    not_approved: str = ""


def in_the_way(offered: Offered, state: EndpointState, mode: Literal["observe", "propose", "auto"], now: float) -> InTheWay | None:
    """What keeps a release from its start at `now` (epoch seconds); None when nothing does, or it is in production.

    A pause, a rollout and a run under way do not count: they end, and the release then starts.
    """
    loop, version, short = offered.loop, offered.version, offered.version[:12]
    if version == state.production:
        return None
    by_hand = f"ftassets start {loop} {short} --reason TEXT"
    if version in state.rejected:
        if offered.approval:
            reason = f"release {short} was rolled back, so that it does not start although it was {offered.approval}. Start it by hand"
            return InTheWay(Obstacle.APPROVED_IN_VAIN, reason, by_hand)
        return InTheWay(Obstacle.ROLLED_BACK, f"release {short} was rolled back: start it by hand, or release another", by_hand)
    compared, expires = offered.predicate.get("compared_with"), offered.predicate.get("expires_at")
    again = f"materialize {loop}/eval_report and {loop}/release again"
    if compared and state.production and compared != state.production:
        reason = f"release {short} was compared with {str(compared)[:12]}, and production is {state.production[:12]}: {again}"
        return InTheWay(Obstacle.COMPARED_WITH_ANOTHER, reason)
    if isinstance(expires, int | float) and now >= expires:
        return InTheWay(Obstacle.EXPIRED, f"release {short} has expired, since its evidence is too old: {again}")
    if not offered.same_gates:
        return InTheWay(Obstacle.GATES_CHANGED, f"the gates of the loop file are not those that release {short} passed: {again}")
    if mode == "observe":
        reason = f"release {short} waits for approval: the loop only observes, and starts nothing by itself"
        return InTheWay(Obstacle.OBSERVED, reason, by_hand)
    if mode == "propose" and not offered.approval:
        return InTheWay(Obstacle.APPROVAL, offered.not_approved, f"ftassets approve {loop} {short} --name NAME --reason TEXT")
    return None
