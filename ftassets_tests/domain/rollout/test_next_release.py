"""What keeps a release from its first traffic."""

from typing import Any

import pytest

from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.next_release import Obstacle, Offered, in_the_way

P, C, OLD = "a" * 64, "b" * 64, "c" * 64
SIGNED = {"compared_with": P, "expires_at": 1000}
SERVING = EndpointState(production=P)
START, APPROVE = f"ftassets start triage {C[:12]} --reason TEXT", f"ftassets approve triage {C[:12]} --name NAME --reason TEXT"


def offer(**changes: Any) -> Offered:
    return Offered(**{"loop": "triage", "version": C, "predicate": SIGNED, "not_approved": f"it waits for approval: {APPROVE}", **changes})


@pytest.mark.parametrize(
    ("changes", "state", "mode", "now", "obstacle", "command"),
    [
        ({}, SERVING, "auto", 999, None, None),
        ({}, EndpointState(), "auto", 999, None, None),
        ({"predicate": {}}, SERVING, "auto", 999, None, None),
        ({"version": P}, SERVING, "propose", 2000, None, None),
        ({"approval": "approved by anna (lead): fine"}, SERVING, "propose", 999, None, None),
        ({}, SERVING, "propose", 999, Obstacle.APPROVAL, APPROVE),
        ({}, SERVING, "observe", 999, Obstacle.OBSERVED, START),
        ({}, EndpointState(production=P, rejected=(C,)), "auto", 999, Obstacle.ROLLED_BACK, START),
        ({}, SERVING, "auto", 1000, Obstacle.EXPIRED, ""),
        ({"predicate": {**SIGNED, "compared_with": OLD}}, SERVING, "auto", 999, Obstacle.COMPARED_WITH_ANOTHER, ""),
        ({"same_gates": False}, SERVING, "auto", 999, Obstacle.GATES_CHANGED, ""),
        ({"same_gates": False, "approval": "approved by anna (lead): fine"}, SERVING, "propose", 999, Obstacle.GATES_CHANGED, ""),
    ],
)
def test_each_obstacle_is_named_with_what_to_type(
    changes: dict[str, Any], state: EndpointState, mode: Any, now: float, obstacle: Obstacle | None, command: str | None
) -> None:
    found = in_the_way(offer(**changes), state, mode, now)
    if obstacle is None:
        assert found is None
    else:
        assert found is not None
        assert (found.obstacle, found.command) == (obstacle, command)
        assert found.sentence.count("ftassets ") == bool(command)
        assert C[:12] in found.sentence or obstacle is Obstacle.APPROVAL


def test_an_approval_that_can_never_act_says_so() -> None:
    found = in_the_way(offer(approval="approved by anna (lead): fine"), EndpointState(production=P, rejected=(C,)), "propose", 999)
    assert found is not None
    assert found.obstacle is Obstacle.APPROVED_IN_VAIN
    assert found.reason.startswith(f"release {C[:12]} was rolled back, so that it does not start although it was approved by anna")
    assert found.command == START
