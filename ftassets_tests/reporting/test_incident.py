from dataclasses import replace

from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.incident import Incident
from ftassets.domain.rollout.look import GuardrailLook, RolloutLook
from ftassets.domain.rollout.transition import Transition
from ftassets.reporting.incident import incident_note, moved_in_short

A, B = "a" * 64, "b" * 64
START = EndpointState(production=A).start(B, 20, 60, 0)
STEPS = (
    Transition(4, 1_700_000_000.0, "support", "start", "run:1", "a new release passed its gates", START),
    Transition(5, 1_700_007_200.0, "support", "rollback", "sensor:rollout", f"the candidate {B} is worse", START.rollback(0)),
)
LOOK = RolloutLook(
    at=1_700_007_199.0, candidate=B, production=A, weight=20, move=Move.ROLLBACK, next_weight=0, reason="worse",
    guardrails=(
        GuardrailLook(metric="errors", e_value=512.3, limit=37.6, estimate=0.09, bound=None, allowed=0.005, needed=True),
        GuardrailLook(metric="form", e_value=0.9, limit=263.2, estimate=-0.001, bound=0.0123, allowed=0.02, needed=True),
    ),
)  # fmt: skip
INCIDENT = Incident(B, 20, STEPS[-1], STEPS, LOOK, {A: 12, B: 0})


def test_a_note_says_what_who_why_and_whether_traffic_moved() -> None:
    note = incident_note("support", INCIDENT)
    assert note.startswith("# support: version bbbbbbbbbbbb lost its traffic, 2023-11-15 00:13:20 UTC\n")
    for line in (
        "- **What**: it had 20 % of the traffic, 2.0 h after its start. aaaaaaaaaaaa has 100 % now.",
        "- **Who**: sensor:rollout (rollback, number 5 of the journal).",
        "- **Did traffic move**: yes: 12 requests since then, each answered by another version.",
        "| 2023-11-14 22:13:20 UTC | start | run:1 | bbbbbbbbbbbb has 20 %, aaaaaaaaaaaa has 80 % | a new release passed its gates |",
        "| errors | 512 | 38 | +9.00 | not known | +0.50 |",
        "| form | 0.9 | 263 | -0.10 | +1.23 | +2.00 |",
    ):
        assert line in note.split("\n")
    assert B not in note.replace("`", ""), "digests are short"


def test_traffic_that_did_not_move_stands_out() -> None:
    note = incident_note("support", replace(INCIDENT, answers={A: 11, B: 1}))
    assert "**no**: 1 of 12 requests since then were answered by it." in note
    since = [{A: 1, B: 0}, {A: 1, B: 1}, {}]
    assert [moved_in_short(replace(INCIDENT, answers=answers)) for answers in since] == ["yes", "NO", "no request since"]


def test_without_a_look_there_is_no_table_of_guardrails() -> None:
    note = incident_note("support", replace(INCIDENT, look=None, timeline=STEPS[1:]))
    assert "guardrail" not in note
    assert "an unknown time after its start" in note
