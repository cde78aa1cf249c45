"""Plans of a rollout against the functions that decide, and against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import Guardrail, Rollout
from ftassets.domain.gates.planning import POWER
from ftassets.domain.rollout.canary import CanaryAnswers, Move, decide, one_by_one
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import e_value
from ftassets.domain.rollout.non_inferiority import difference
from ftassets.domain.rollout.planning import RATES, WORSE, e_paths, plan_proofs, plan_rollout
from ftassets.domain.traffic.lapses import LapseCounts

ERRORS = (Guardrail(metric="errors", margin=0.005, required=False),)
POLICY = Rollout(min_requests=100, guardrails=ERRORS)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40),
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
def test_paths_are_the_e_values_of_the_rollout(
    first: list[tuple[bool, bool]], second: list[tuple[bool, bool]], share: float, later: float
) -> None:
    canary_answers = [CanaryAnswers(mine, 100 * share, failed) for mine, failed in first] + [
        CanaryAnswers(mine, 100 * later, failed) for mine, failed in second
    ]
    mine, failed = (np.array(column)[None, :] for column in zip(*first, strict=True))
    values, logs = e_paths(mine, failed, share)
    mine, failed = (np.array(column)[None, :] for column in zip(*second, strict=True))
    rest, _ = e_paths(mine, failed, later, logs)
    expected = [e_value(one_by_one(canary_answers[: seen + 1]).failures["errors"]) for seen in range(len(canary_answers))]
    assert np.concatenate([values[0], rest[0]]) == pytest.approx(expected, rel=1e-9)


def test_a_failing_canary_is_rolled_back_within_the_planned_requests() -> None:
    rng = np.random.default_rng(5)
    policy, errors = Rollout(guardrails=ERRORS, steps=(50, 100)), 0.05
    step = plan_rollout(policy, 10_000, errors)[0]
    assert step.rollback_requests is not None
    total, state, runs = 2 * step.rollback_requests, EndpointState(production="p", candidate="c", weight=50), 300
    back = 0
    for _ in range(runs):
        mine = rng.random(total) < 0.5
        failed = rng.random(total) < np.where(mine, WORSE * errors, errors)
        canary_answers = [CanaryAnswers(bool(m), 50.0, bool(f)) for m, f in zip(mine, failed, strict=True)]
        seen = [canary_answers[:count] for count in [*range(10, total, 10), total]]
        back += any(decide(state, one_by_one(each), policy, 0.0).move is Move.ROLLBACK for each in seen)
    assert back / runs == pytest.approx(POWER, abs=0.07)


def test_whole_rollouts_catch_as_many_as_planned() -> None:
    rng = np.random.default_rng(6)
    policy, errors, runs = Rollout(guardrails=ERRORS, steps=(20, 50, 100), interval=1, min_requests=60), 0.05, 200
    planned = [step.caught for step in plan_rollout(policy, 86_400, errors)]
    caught = np.zeros(2)
    for _ in range(runs):
        canary_answers: list[CanaryAnswers] = []
        for number, weight in enumerate((20, 50)):
            move, answered, good = Move.HOLD, 0, 0
            while move in (Move.HOLD, Move.NOT_ENOUGH_DATA):
                mine = rng.random() < weight / 100
                failed = rng.random() < (WORSE * errors if mine else errors)
                canary_answers.append(CanaryAnswers(mine, float(weight), failed))
                answered, good = answered + 1, good + (mine and not failed)
                if failed or good >= policy.min_requests:  # nothing else can change the move
                    state = EndpointState(production="p", candidate="c", weight=weight, since=0.0)
                    move = decide(state, one_by_one(canary_answers), policy, answered).move
            if move is Move.ROLLBACK:
                caught[number:] += 1
                break
    assert caught / runs == pytest.approx(planned, abs=0.1)


def test_promotion_waits_for_answers_and_for_the_interval() -> None:
    slow = plan_rollout(POLICY, 1000)
    assert [step.weight for step in slow] == [5, 20, 50]
    assert slow[0].promote_requests >= POLICY.min_requests
    assert slow[0].promote_days == pytest.approx(100 / (0.05 * 0.99) / 1000, rel=0.12)
    quick = plan_rollout(POLICY, 1e9)
    assert all(step.promote_days == pytest.approx(300 / 86_400) for step in quick)
    assert [s.rollback_requests for s in quick] == [s.rollback_requests for s in slow]
    assert quick[0].caught > slow[0].caught


def test_planned_minimum_of_requests_makes_the_first_step_catch_most() -> None:
    first = plan_rollout(POLICY, 1000)[0]
    patient = POLICY.model_copy(update={"min_requests": first.rollback_requests})
    assert first.caught < 0.5
    assert plan_rollout(patient, 1000)[0].caught == pytest.approx(POWER, abs=0.04)


def test_stricter_false_rollback_needs_more_requests() -> None:
    strict = plan_rollout(POLICY.model_copy(update={"false_rollback": 0.001}), 1000)
    for careful, usual in zip(strict, plan_rollout(POLICY, 1000), strict=True):
        assert careful.rollback_requests is not None
        assert usual.rollback_requests is not None
        assert careful.rollback_requests > 1.3 * usual.rollback_requests


def test_without_enough_data_a_policy_may_roll_everything_back() -> None:
    policy = POLICY.model_copy(update={"on_not_enough_data": "rollback"})
    assert plan_rollout(policy, 1000)[0].caught == 1.0
    assert plan_rollout(policy, 1e6)[0].caught < 0.6


def test_a_weight_that_sees_too_little_is_reported_to_see_nothing() -> None:
    policy = Rollout(guardrails=ERRORS, steps=(99, 100), false_rollback=1e-9)
    assert plan_rollout(policy, 1000)[0].rollback_days is None


def test_plans_repeat_and_one_step_has_none() -> None:
    assert plan_rollout(POLICY, 5000) == plan_rollout(POLICY, 5000)
    assert plan_rollout(Rollout(steps=(100,)), 5000) == []


@pytest.mark.parametrize(
    ("traffic", "errors", "match"),
    [(0, 0.01, "0 requests a day"), (100, 0.0, "error rate"), (100, 0.4, "error rate")],
)
def test_impossible_assumptions_are_refused(traffic: float, errors: float, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        plan_rollout(POLICY, traffic, errors)


def test_proofs_take_as_long_as_simulated_ones_and_less_with_wider_margins() -> None:
    rng, policy = np.random.default_rng(8), Rollout(steps=(50, 100), guardrails=(Guardrail(metric="errors", margin=0.02),))
    [plan] = plan_proofs(policy, 10_000)
    assert plan.days is not None
    users, proved, runs = plan.users, 0, 200
    for _ in range(runs):
        mine, theirs = (
            LapseCounts(users, users, bad, users, bad, bad, 1) for bad in map(int, rng.binomial(users, RATES["errors"], size=2))
        )
        proved += difference(mine, theirs, 0.02, policy.false_promotion).bound < 0.02
    assert proved / runs == pytest.approx(POWER, abs=0.1)
    wider = policy.model_copy(update={"guardrails": (Guardrail(metric="errors", margin=0.05),)})
    assert plan_proofs(wider, 10_000)[0].users < plan.users / 2
    assert plan_proofs(policy, 1)[0].days is None
    assert plan_proofs(Rollout(steps=(100,)), 5000) == []


def test_feedback_is_rarer_than_answers_and_each_guardrail_has_a_plan() -> None:
    plans = {plan.metric: plan for plan in plan_proofs(Rollout(), 24_000)}
    assert list(plans) == [guardrail.metric for guardrail in Rollout().guardrails]
    assert all(plan.days for plan in plans.values())
    assert plans["latency"].allowed == 0.0
