"""From a release to all of its traffic, tick by tick."""

import tempfile
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.automation import rollout
from ftassets.automation.jobs import endpoint_job_name
from ftassets.automation.ownership import DIED
from ftassets.backends.control.rollout_looks import read_looks
from ftassets.backends.traffic_log.base import Feedback
from ftassets.config.profiles import control
from ftassets.domain.release.approval import Approval, approval_statement
from ftassets.domain.rollout.canary import CanaryAnswers, Latest, decide, one_by_one
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.look import decided_again
from ftassets.domain.rollout.shadow_phase import paired
from ftassets.domain.rollout.transition import Transition
from ftassets_tests.automation.conftest import AUTO, NAME, Bench, C, P, S, Traffic, config_of, loop_of, requested, skipped


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
    bench.run(endpoint_job_name(NAME), S.FAILURE)  # refused: not repeated at each tick, but in the next hour
    first = requested(bench.rollout()).run_key
    assert requested(bench.rollout(later=rollout.AGAIN)).run_key != first
    bench.run(endpoint_job_name(NAME), S.FAILURE, {DIED: "true"})
    assert requested(bench.rollout()).run_key.startswith(f"start:{C}:0:1:")


def test_holds_and_renews_the_lease_until_the_step_has_lasted(bench: Bench) -> None:
    bench.canary(age=10)
    assert skipped(bench.rollout()).startswith("HOLD: 10 s at 20 %")
    assert bench.serving.renewed == [AUTO.rollout.lease]


def test_holds_without_answers(bench: Bench) -> None:
    bench.canary()
    for _ in range(50):
        bench.traffic.answer(P, 0.8)
    assert skipped(bench.rollout()).startswith("NOT ENOUGH DATA: 0 good answers")
    assert bench.serving.renewed


def test_ramps_and_renews(bench: Bench) -> None:
    bench.canary()
    for _ in range(5):
        bench.traffic.answer(C)
    request = requested(bench.rollout())
    wanted = config_of(request)
    assert (wanted["action"], wanted["weight"], wanted["candidate"]) == ("ramp", 50, C)
    assert request.run_key.startswith(f"ramp:{C}:50:1:0:")
    assert bench.serving.renewed == [AUTO.rollout.lease]
    bench.run(endpoint_job_name(NAME), S.STARTED)
    assert skipped(bench.rollout()) == "a run is moving traffic already"
    assert len(bench.serving.renewed) == 2, "it keeps its lease meanwhile"


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


def test_each_move_leaves_what_it_rests_on(bench: Bench) -> None:
    bench.canary(age=10)
    bench.traffic.answer(C, 0.2, user="anna")
    bench.rollout()
    for number in range(12):
        bench.traffic.answer(C, 0.2, "", 500, user=f"user {number}")
        bench.traffic.answer(P, 0.8, user=f"other {number}")
    bench.rollout()
    hold, back = read_looks(control(bench.home), NAME, C)
    assert (hold.move, hold.basis, back.move, back.weight, back.candidate, back.production) == ("HOLD", None, "ROLLBACK", 20, C, P)
    assert decided_again(back).reason == back.reason == bench.serving.transitions[-1].reason
    assert "user 1" not in str(back.document())


def test_a_look_that_cannot_be_kept_stops_no_rollback(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ftassets.automation.rollout.record_look", full)
    bench.canary(age=10)
    for _ in range(12):
        bench.traffic.answer(C, 0.2, "", 500)
        bench.traffic.answer(P, 0.8)
    assert config_of(requested(bench.rollout()))["action"] == "report"
    assert bench.serving.transitions[-1].action == "rollback"


def test_a_client_s_mistake_is_no_failure_of_the_model(bench: Bench) -> None:
    bench.canary(age=10)
    for _ in range(30):
        bench.traffic.answer(C, 0.2, "", 400)
    assert skipped(bench.rollout()).startswith(("HOLD", "NOT ENOUGH DATA"))


def test_only_answers_of_this_canary_count(bench: Bench) -> None:
    for _ in range(30):
        bench.traffic.answer(C, 0.2, "", 500)  # of an earlier try
    time.sleep(0.02)
    bench.canary(age=0.0)
    for _ in range(30):
        bench.traffic.answer("f" * 64, 0.2, "", 500)  # of a version that is neither
    assert skipped(bench.rollout()).startswith(("HOLD", "NOT ENOUGH DATA"))


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


def test_outcomes_give_the_candidate_s_share_for_either_version(tmp_path: Path) -> None:
    traffic = Traffic(tmp_path / "traffic.db")
    for version, weight in ((C, 20.0), (P, 80.0)):
        traffic.answer(version, weight)
    state = EndpointState(candidate=C, production=P, weight=20)
    found = rollout.canary_evidence(traffic, AUTO, state, [])
    assert sorted((o.candidate, o.weight, o.failed, o.count) for o in found.answers) == [(False, 20.0, False, 1), (True, 20.0, False, 1)]
    assert (found.failures, found.latest) == ({"errors": [], "form": []}, Latest())


OUTCOMES = [('{"intent": "On"}', 200), ("I cannot do that", 200), ("", 200), ("", 400), ("", 500)]


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([P, C, "f" * 64]), st.sampled_from([20, 50]), st.sampled_from(OUTCOMES)), max_size=60))
def test_what_the_log_counts_decides_as_its_answers_one_by_one_do(rows: list[tuple[str, int, tuple[str, int]]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        traffic = Traffic(Path(folder) / "traffic.db")
        state = EndpointState(candidate=C, production=P, weight=50, since=time.time())
        answers: list[CanaryAnswers] = []
        for version, weight, (answer, status) in rows:
            share = float(weight if version == C else 100 - weight)
            traffic.answer(version, share, answer, status)
            if version in (P, C) and status != 400:
                failed = status >= 500 or (status == 200 and not AUTO.task.form.well_formed(answer))
                answers.append(CanaryAnswers(version == C, float(weight), failed))
        found, later = rollout.canary_evidence(traffic, AUTO, state, []), state.since + 1e6
    decision, wanted = (decide(state, seen, AUTO.rollout, later) for seen in (found, one_by_one(answers)))
    assert (decision.move, decision.weight, decision.reason) == (wanted.move, wanted.weight, wanted.reason)


def test_only_answers_since_the_newest_start_count(bench: Bench) -> None:
    state = EndpointState(production=P, candidate=C, weight=20)
    starts = [Transition(number, at, NAME, "start", "cli", "", state) for number, at in ((1, 100.0), (2, 200.0))]
    noise = [Transition(3 + n, 300.0, NAME, "stage", "admin", "", state) for n in range(120)]  # more than one page
    bench.serving.transitions = [*starts, *noise]
    for at in (150.0, 250.0):
        bench.traffic.append([replace(bench.traffic.answer(C), id=f"at {at}", at=at)])
    found = rollout.canary_evidence(bench.traffic, AUTO, state, bench.serving.recent(NAME))
    assert sum(each.count for each in found.answers) == 1 + 2  # `answer` stores one of now each time


def test_what_production_answered_while_the_candidate_was_in_shadow_is_no_evidence(bench: Bench) -> None:
    shadow, canary = (EndpointState(production=P, candidate=C, weight=weight) for weight in (0, 20))
    bench.serving.transitions = [
        Transition(1, 100.0, NAME, "start", "cli", "", shadow),
        Transition(2, 200.0, NAME, "ramp", "cli", "", canary),
        Transition(3, 300.0, NAME, "stage", "admin", "", canary),
    ]
    for at, weight, status in ((140.0, 100.0, 200), (150.0, 100.0, 500), (160.0, 100.0, 200), (250.0, 80.0, 500)):
        answered = bench.traffic.answer("f" * 64, weight, status=status, user="anna")
        bench.traffic.append([replace(answered, id=f"at {at}", version=P, at=at)])
    found = rollout.canary_evidence(bench.traffic, AUTO, canary, bench.serving.recent(NAME))
    assert [(each.candidate, each.weight) for each in found.failures["errors"]] == [(False, 20.0)], "her first failure with a coin counts"


def test_an_answer_that_nobody_judged_counts_for_neither_side(bench: Bench) -> None:
    bench.canary()
    for _ in range(9):
        exchange = bench.traffic.answer(C)
        bench.traffic.append([replace(exchange, id=f"unjudged {exchange.id}", well_formed=None)])
    found = rollout.canary_evidence(bench.traffic, AUTO, bench.serving.now, bench.serving.recent(NAME))
    assert sum(each.count for each in found.answers) == 9
    assert found.latest == Latest(), "nine judged answers are not the last ten"


def test_one_user_s_broken_client_is_one_piece_of_evidence(bench: Bench) -> None:
    bench.canary(age=10)
    for number in range(60):
        bench.traffic.answer(C, 0.2, "", 500 if number % 2 else 400, user="broken")
        bench.traffic.answer(C, 0.2, user=f"user {number}")
    bench.traffic.answer(C, 0.2, user="another")
    for _ in range(12):
        bench.traffic.answer(C, 0.2, "", 500, user="broken")  # the candidate's last answers, all of one user
    assert skipped(bench.rollout()).startswith(("HOLD", "NOT ENOUGH DATA"))
    for number in range(2):
        bench.traffic.answer(C, 0.2, "", 500, user=f"user {number}")
    assert config_of(requested(bench.rollout()))["action"] == "report"


ALL = loop_of(rollout={"steps": [20, 50, 100], "interval": "60s", "min_requests": 5})


def test_users_who_failed_before_the_canary_are_no_evidence(bench: Bench) -> None:
    started = time.time() - 1000
    for number in range(9):
        before = replace(bench.traffic.answer(P, 100.0, "", 500, user=f"user {number}"), id=f"before {number}", at=started - 60)
        bench.traffic.append([before])
    bench.canary(age=1000)
    for number in range(9):
        bench.traffic.answer(C, 20.0, "", 500, user=f"user {number}")
    found = rollout.canary_evidence(bench.traffic, AUTO, bench.serving.now, bench.serving.recent(NAME))
    assert found.failures["errors"] == []
    bench.traffic.answer(C, 20.0, "", 500, user="another")
    found = rollout.canary_evidence(bench.traffic, AUTO, bench.serving.now, bench.serving.recent(NAME))
    assert [(each.candidate, each.weight, each.user) for each in found.failures["errors"]] == [(True, 20.0, "another")]


@pytest.mark.parametrize("lapse", ["latency", "thumbs_down", "corrections"])
def test_a_candidate_that_is_slower_or_less_liked_is_rolled_back(bench: Bench, lapse: str) -> None:
    for number in range(120):
        usual = replace(bench.traffic.answer(P, 100.0), id=f"before {number}", at=time.time() - 2000, latency_ms=100.0)
        bench.traffic.append([usual])
    bench.canary(age=1000)
    for number in range(40):
        for version, weight in ((C, 20.0), (P, 80.0)):
            worse, name = version == C, f"{version[:1]} {number}"
            ended = replace(
                bench.traffic.answer(version, weight), id=name, user=name, latency_ms=130.0 if worse and lapse == "latency" else 99.0
            )
            bench.traffic.append([ended])
            if lapse != "latency":
                said = (("down", None) if lapse == "thumbs_down" else (None, "other")) if worse else ("up", None)
                bench.traffic.add_feedback(Feedback(name, time.time(), *said))
    assert f"({lapse}: e-value " in config_of(requested(bench.rollout(ALL)))["reason"]


def test_all_traffic_waits_for_a_proof(bench: Bench) -> None:
    bench.serving.transition(EndpointState(production=P, candidate=C, weight=50, since=time.time() - 100), "start", "cli")
    exchanges = [replace(bench.traffic.answer(version, 50.0), user="") for version in (C, P)]
    bench.traffic.append([replace(each, id=f"{each.version[:1]} {n}") for each in exchanges for n in range(500)])
    assert skipped(bench.rollout(ALL)).startswith("NOT ENOUGH DATA: not proved to be as good as production (errors: +")
    bench.traffic.append([replace(each, id=f"{each.version[:1]} more {n}") for each in exchanges for n in range(1500)])
    request = requested(bench.rollout(ALL))
    assert (config_of(request)["action"], config_of(request)["weight"]) == ("ramp", 100)
    assert "no worse than production by more than the margin in errors, form" in config_of(request)["reason"]


def test_the_only_user_of_a_candidate_is_enough_to_see_that_it_answers_nothing(bench: Bench) -> None:
    bench.canary(age=10)
    for _ in range(10):
        bench.traffic.answer(C, 0.2, "", 500, user="only")
    assert "last 10 answers all failed" in config_of(requested(bench.rollout()))["reason"]


WATCHED = [{"metric": metric, "required": False} for metric in ("errors", "form", "refusals", "latency")]
SHADOW = loop_of(rollout={**AUTO.rollout.model_dump(mode="json"), "shadow": {"min_requests": 20}, "guardrails": WATCHED})


def copied(bench: Bench, count: int, **changes: Any) -> None:
    """Requests that production answered, each with a copy."""
    for _ in range(count):
        row = bench.traffic.answer(P, 100, user=uuid.uuid4().hex)
        pair = paired(row, replace(row, version=C), SHADOW.task.form)
        bench.traffic.append_shadow([replace(pair, **changes)])


def test_a_release_starts_in_shadow_where_the_loop_has_it(bench: Bench) -> None:
    bench.materialize("release", C)
    request = requested(bench.rollout(SHADOW))
    assert config_of(request) == {"action": "start", "reason": "a new release passed its gates"}, "the endpoint takes the first weight"
    bench.serving.now = EndpointState()
    assert config_of(requested(bench.rollout(SHADOW)))["weight"] == 20, "there is nothing to copy yet"


def test_a_candidate_in_shadow_is_held_and_its_lease_renewed(bench: Bench) -> None:
    bench.shadow()
    copied(bench, 5)
    assert skipped(bench.rollout(SHADOW)).startswith("HOLD: 5 good answers to 5 copies in shadow, 20 are needed")
    assert bench.serving.renewed == [SHADOW.rollout.lease]
    bench.pause("freeze")
    copied(bench, 20)
    assert skipped(bench.rollout(SHADOW)) == "holding in shadow, the loop is paused: freeze"
    assert len(bench.serving.renewed) == 2


def test_it_goes_on_to_the_canary(bench: Bench) -> None:
    bench.shadow()
    copied(bench, 20)
    request = requested(bench.rollout(SHADOW))
    assert (config_of(request)["action"], config_of(request)["weight"]) == ("ramp", 20)
    assert config_of(request)["reason"].startswith("20 good answers to 20 copies in shadow")


@pytest.mark.parametrize("changes", [{"status": 502, "well_formed": None}, {"well_formed": False}, {"refused": True}, {"latency_ms": 9.0}])
def test_a_worse_candidate_is_rolled_back_before_a_user_has_it(bench: Bench, changes: dict[str, Any]) -> None:
    bench.traffic.append([replace(bench.traffic.answer(P), id=f"before {n}", at=time.time() - 3600) for n in range(100)])
    bench.shadow()
    copied(bench, 20, **changes)
    request = requested(bench.rollout(SHADOW))
    assert config_of(request)["action"] == "report"
    assert config_of(request)["reason"].startswith("rolled back: in shadow the candidate is worse")
    assert bench.serving.now.rejected == (C,)
    assert bench.serving.transitions[-1].by == "sensor:rollout"


def test_copies_before_the_phase_or_of_another_production_do_not_count(bench: Bench) -> None:
    copied(bench, 30, status=502)
    time.sleep(0.02)
    bench.shadow(age=0.0)
    copied(bench, 20, production="f" * 64, status=502)
    assert skipped(bench.rollout(SHADOW)).startswith("HOLD: 0 good answers to 0 copies")


def test_a_retrain_waits_for_a_candidate_in_shadow(bench: Bench) -> None:
    bench.shadow()
    bench.reports("ALARM", "ALARM")
    assert "rollout" in str(skipped(bench.retrain(SHADOW)))


# A newer release


def test_a_newer_release_waits_or_takes_the_place_by_policy(bench: Bench) -> None:
    newer = "d" * 64
    bench.canary(age=10)
    bench.materialize("release", C)
    assert "waits" not in skipped(bench.rollout())
    bench.materialize("release", newer)
    assert f"release {newer[:12]} waits until this rollout has ended" in skipped(bench.rollout())
    supersede = loop_of(rollout={**AUTO.rollout.model_dump(mode="json"), "on_newer": "supersede"})
    moving = bench.run(endpoint_job_name(NAME), S.STARTED)
    assert skipped(bench.rollout(supersede)) == "a run is moving traffic already"
    bench.history.instance.report_run_failed(moving)
    request = requested(bench.rollout(supersede))
    assert config_of(request) == {"action": "start", "weight": 20, "reason": "a newer release passed its gates"}
    assert request.run_key.startswith(f"start:{newer}:")
    assert bench.serving.renewed, "the lease is kept until then"
    in_shadow = loop_of(rollout={**supersede.rollout.model_dump(mode="json"), "shadow": {}})
    assert config_of(requested(bench.rollout(in_shadow)))["action"] == "start"
    rules = {"people": {"anna": "lead"}, "approve": ["lead"]}
    waiting = loop_of(mode="propose", release=rules, rollout={**AUTO.rollout.model_dump(mode="json"), "on_newer": "supersede"})
    assert "release" not in skipped(bench.rollout(waiting)), "it is not approved"
    bench.pause("freeze")
    assert "the loop is paused" in skipped(bench.rollout(supersede))


def test_a_failing_candidate_is_rolled_back_before_a_newer_one_takes_its_place(bench: Bench) -> None:
    bench.canary(age=10)
    for _ in range(12):
        bench.traffic.answer(C, 0.2, "", 500)
        bench.traffic.answer(P, 0.8)
    bench.materialize("release", "d" * 64)
    supersede = loop_of(rollout={**AUTO.rollout.model_dump(mode="json"), "on_newer": "supersede"})
    assert config_of(requested(bench.rollout(supersede)))["action"] == "report"
    assert bench.serving.now.rejected == (C,)
