"""From a release to all of its traffic, tick by tick."""

import time
from types import SimpleNamespace

import pytest

from ftassets.automation import rollout
from ftassets.automation.jobs import endpoint_job_name
from ftassets.automation.ownership import DIED
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, C, FakeTraffic, P, S, config_of, loop_of, requested, skipped


def test_starts_a_release(bench: Bench) -> None:
    assert skipped(bench.rollout()) == "nothing was released yet"
    bench.materialize("release", C)
    request = requested(bench.rollout())
    assert config_of(request) == {"action": "start", "weight": 20, "reason": "a new release passed its gates"}
    assert request.run_key.startswith(f"start:{C}:0:0:")
    assert requested(bench.rollout()).run_key == request.run_key


def test_without_auto_a_release_waits_for_approval(bench: Bench) -> None:
    bench.materialize("release", C)
    rules = {"people": {"anna": "lead"}, "approve": ["lead"]}
    for mode in ("propose", "observe"):
        assert "waits for approval" in skipped(bench.rollout(loop_of(mode=mode, release=rules)))


def test_propose_starts_once_an_approver_has_approved(bench: Bench) -> None:
    rules = {"people": {"anna": "lead", "ben": "intern"}, "approve": ["lead"]}
    loop = loop_of(mode="propose", release=rules)
    approval = Approval(loop=NAME, version=C, report_digest="e" * 64, name="anna", role="lead", reason="looks right", issued_at=1000)
    bench.materialize("release", C, report_digest="e" * 64)
    for change in ({"name": "ben", "role": "intern"}, {"version": P}, {"report_digest": "f" * 64}):
        bench.releases.write(NAME, C, "approval", approval_statement(approval.model_copy(update=change)))
        assert "does not count" in skipped(bench.rollout(loop))
    bench.releases.write(NAME, C, "approval", approval_statement(approval))
    request = requested(bench.rollout(loop))
    assert config_of(request)["action"] == "start"
    assert request.run_key.startswith(f"start:{C}:0:0:")
    assert request.run_key.endswith(":1000")
    assert "waits for approval" in skipped(bench.rollout(loop_of(mode="observe", release=rules)))


def test_a_release_with_an_override_does_not_claim_to_have_passed(bench: Bench) -> None:
    bench.materialize("release", C, override="latency overridden by anna (lead): cannot wait")
    assert config_of(requested(bench.rollout()))["reason"] == "a new release with an override"


def test_does_not_start_what_is_in_production_refused_or_paused(bench: Bench) -> None:
    bench.materialize("release", P)
    assert skipped(bench.rollout()) == "the newest release is in production"
    bench.materialize("release", C)
    bench.run(endpoint_job_name(NAME), S.STARTED)
    assert skipped(bench.rollout()) == "a run is moving traffic already"
    bench.pause("freeze")
    assert skipped(bench.rollout()) == "the loop is paused: freeze"
    bench.serving.now = EndpointState(production=P, rejected=(C,))
    assert "was rolled back" in skipped(bench.rollout())


def test_a_move_whose_process_died_is_tried_again(bench: Bench) -> None:
    bench.materialize("release", C)
    bench.run(endpoint_job_name(NAME), S.FAILURE)  # refused: not repeated by itself
    first = requested(bench.rollout()).run_key
    bench.run(endpoint_job_name(NAME), S.FAILURE, {DIED: "true"})
    assert requested(bench.rollout()).run_key == first.replace(f"{C}:0:0:", f"{C}:0:1:")


def test_holds_and_renews_the_lease_until_the_step_has_lasted(bench: Bench) -> None:
    bench.canary(age=10)
    assert skipped(bench.rollout()).startswith("HOLD: 10 s at 20 %")
    assert bench.serving.renewed == [AUTO.rollout.lease]


def test_holds_without_answers(bench: Bench) -> None:
    bench.canary()
    for _ in range(50):
        bench.traffic.answer(P, 0.8)
    assert skipped(bench.rollout()).startswith("HOLD: not enough data: 0 good answers")
    assert bench.serving.renewed


def test_ramps_and_renews(bench: Bench) -> None:
    bench.canary()
    for _ in range(5):
        bench.traffic.answer(C)
    request = requested(bench.rollout())
    assert (config_of(request)["action"], config_of(request)["weight"]) == ("ramp", 50)
    assert request.run_key == f"ramp:{C}:50:1:0"
    assert bench.serving.renewed == [AUTO.rollout.lease]


@pytest.mark.parametrize(("answer", "status"), [("I cannot do that", 200), ("", 500)])
def test_rolls_back_within_the_tick(bench: Bench, answer: str, status: int) -> None:
    bench.canary(age=10)
    for _ in range(12):
        bench.traffic.answer(C, 0.2, answer, status)
        bench.traffic.answer(P, 0.8)
    request = requested(bench.rollout())
    assert bench.serving.now == EndpointState(production=P, rejected=(C,), since=bench.serving.now.since)
    assert bench.serving.transitions[-1].by == "sensor:rollout"
    assert config_of(request)["action"] == "report"
    assert "rolled back: the candidate" in config_of(request)["reason"]
    assert not bench.serving.renewed
    bench.materialize("release", C)
    assert "was rolled back" in skipped(bench.rollout())


def test_a_client_s_mistake_is_no_failure_of_the_model(bench: Bench) -> None:
    bench.canary(age=10)
    for _ in range(30):
        bench.traffic.answer(C, 0.2, "", 400)
    assert skipped(bench.rollout()).startswith("HOLD")


def test_only_answers_of_this_canary_count(bench: Bench) -> None:
    for _ in range(30):
        bench.traffic.answer(C, 0.2, "", 500)  # of an earlier try
    time.sleep(0.02)
    bench.canary(age=0.0)
    for _ in range(30):
        bench.traffic.answer("f" * 64, 0.2, "", 500)  # of a version that is neither
    assert skipped(bench.rollout()).startswith("HOLD")


def test_a_pause_holds_the_share_and_keeps_the_lease_but_not_a_failing_canary(bench: Bench) -> None:
    bench.canary()
    bench.pause("freeze")
    for _ in range(5):
        bench.traffic.answer(C)
    assert skipped(bench.rollout()) == "holding at 20 %, the loop is paused: freeze"
    assert bench.serving.renewed
    for _ in range(12):
        bench.traffic.answer(C, 0.2, "", 500)
    assert config_of(requested(bench.rollout()))["action"] == "report"
    assert bench.serving.now.candidate is None


def test_an_endpoint_that_does_not_answer_is_left_to_its_lease(bench: Bench) -> None:
    bench.serving.error = "the gateway does not answer"
    assert skipped(bench.rollout()) == "the gateway does not answer"


def test_outcomes_give_the_candidate_s_share_for_either_version() -> None:
    traffic = FakeTraffic()
    for version, weight in ((C, 20.0), (P, 80.0)):
        traffic.answer(version, weight)
    state = SimpleNamespace(candidate=C, production=P, since=0.0)
    found = rollout.canary_answers(traffic, AUTO, state, [])  # type: ignore[arg-type]
    assert [(o.candidate, o.weight, o.failed) for o in found] == [(True, 20.0, False), (False, 20.0, False)]
