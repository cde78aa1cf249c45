"""Transitions of an endpoint and who is chosen for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.domain.rollout.endpoint import EndpointState, NotPossible, bucket

A, B, C = "a" * 64, "b" * 64, "c" * 64
keys = st.text(max_size=40)
weights = st.integers(1, 99)
versions = st.sampled_from([A, B, C])


@st.composite
def states(draw):
    """States that the verbs can lead to."""
    state = EndpointState()
    now = 0.0
    for _ in range(draw(st.integers(0, 8))):
        now += draw(st.floats(0, 100))
        verb = draw(st.sampled_from(["start", "shadow", "ramp", "promote", "rollback", "expire", "stage", "unstage"]))
        version = draw(versions)
        try:
            match verb:
                case "start":
                    state = state.start(version, draw(weights), 50, now, supersede=draw(st.booleans()))
                case "shadow":
                    state = state.start(version, 0, 50, now)
                case "ramp":
                    state = state.ramp(draw(weights), 50, now)
                case "promote":
                    state = state.ramp(100, 50, now, hold_back=draw(st.integers(0, 5)), hold_back_for=60)
                case "rollback":
                    state = state.rollback(now)
                case "expire":
                    state = state.expire(now)
                case "stage":
                    state = state.stage(version, now + 30)
                case "unstage":
                    state = state.unstage(version)
        except NotPossible:
            pass
    return state


@given(states(), keys)
def test_only_versions_with_weight_answer(state, key):
    chosen = state.choose("loop", key)
    assert (chosen is None) == (state.production is None)
    assert chosen is None or chosen in state.weights


@given(states())
def test_weights_add_up_and_servers_are_wanted_for_them(state):
    assert sum(state.weights.values()) == (100 if state.production else 0)
    assert state.weights.keys() <= state.running
    assert state.candidate is None or (state.candidate != state.production and state.lease_until is not None)
    assert state.held_back is None or (state.standby in state.weights and not state.weight), "at rest or in shadow, never beside a canary"


@given(keys, weights, weights)
def test_a_growing_weight_only_adds_keys(key, one, other):
    small, large = sorted((one, other))
    canary = EndpointState(production=A).start(B, small, 10, 0)
    if canary.choose("loop", key) == B:
        assert canary.ramp(large, 10, 1).choose("loop", key) == B
        assert canary.ramp(100, 10, 1).choose("loop", key) == B


@given(keys, weights)
def test_key_is_sticky_and_independent_between_loops(key, weight):
    canary = EndpointState(production=A).start(B, weight, 10, 0)
    assert canary.choose("loop", key) == canary.choose("loop", key)
    assert 0 <= bucket("loop", key) < 1


def test_traffic_follows_the_weights():
    canary = EndpointState(production=A).start(B, 20, 10, 0)
    share = sum(canary.choose("loop", f"user {i}") == B for i in range(5000)) / 5000
    assert share == pytest.approx(0.2, abs=0.02)
    same = sum(bucket("one", f"user {i}") < 0.2 and bucket("two", f"user {i}") < 0.2 for i in range(5000)) / 5000
    assert same == pytest.approx(0.04, abs=0.015)


def test_users_of_one_canary_are_no_more_often_in_the_next() -> None:
    first, second = (EndpointState(production=A).start(candidate, 20, 10, 0) for candidate in (B, C))
    both = [first.choose("loop", f"user {i}") == B and second.choose("loop", f"user {i}") == C for i in range(5000)]
    assert sum(both) / 5000 == pytest.approx(0.04, abs=0.015)


def test_first_version_is_production_at_once_and_a_second_needs_its_steps():
    state = EndpointState().start(A, 5, 10, 0)
    assert (state.production, state.candidate, state.phase) == (A, None, "serving")
    state = state.start(B, 5, 10, 1)
    assert state.weights == {B: 5, A: 95}
    with pytest.raises(NotPossible, match="under way"):
        state.start(C, 5, 10, 1)
    state = state.ramp(100, 10, 2)
    assert (state.production, state.standby, state.candidate, state.lease_until) == (B, A, None, None)


def test_a_candidate_in_shadow_has_no_traffic_until_it_is_ramped() -> None:
    shadow = EndpointState(production=A, staged={B: 50.0}).start(B, 0, 10, 1)
    assert (shadow.phase, shadow.in_shadow, shadow.weights, shadow.staged) == ("shadow", True, {A: 100}, {})
    assert shadow.running == {A, B}
    assert {shadow.choose("loop", f"user {n}") for n in range(200)} == {A}
    canary = shadow.start(B, 5, 10, 2)
    assert (canary.phase, canary.in_shadow, canary.since) == ("canary", False, 2)
    assert canary == shadow.ramp(5, 10, 2)
    assert shadow.rollback(2).rejected == (B,)
    assert shadow.expire(11).candidate is None
    for state in (EndpointState(), canary, shadow):
        with pytest.raises(NotPossible, match="cannot start in shadow"):
            state.start(B, 0, 10, 3)


@pytest.mark.parametrize("weight", [-1, 101])
def test_a_weight_is_between_1_and_100_percent(weight):
    for state in (EndpointState(production=A), EndpointState(production=A).start(B, 5, 10, 0)):
        with pytest.raises(NotPossible, match=f"{weight} % is not between 1 and 100"):
            state.start(B, weight, 10, 1)


def test_only_a_candidate_is_ramped_and_only_its_lease_renewed():
    for state in (EndpointState(), EndpointState(production=A, standby=B)):
        with pytest.raises(NotPossible, match="no candidate to ramp"):
            state.ramp(50, 10, 1)
        with pytest.raises(NotPossible, match="no candidate whose lease"):
            state.renew(10, 1)


def test_rollback_of_candidate_then_of_production():
    state = EndpointState(production=A).start(B, 50, 10, 0).rollback(1)
    assert state.weights == {A: 100}
    assert state.rejected == (B,)
    state = state.start(C, 50, 10, 2).ramp(100, 10, 3).rollback(4)
    assert state.production == A
    assert state.standby is None
    assert state.rejected == (B, C)
    with pytest.raises(NotPossible, match="nothing to roll back to"):
        state.rollback(5)


def test_an_expired_lease_ends_the_weight():
    state = EndpointState(production=A).start(B, 50, 10, 100).stage(C, 105)
    assert state.expire(104.9) is state
    assert state.expire(105).staged == {}
    assert state.expire(110).weights == {A: 100}
    assert state.renew(10, 109).expire(110).candidate == B
    assert B not in state.expire(110).rejected


@given(states(), st.sets(versions))
def test_damaged_versions_lose_their_traffic(state, damaged):
    left = state.without(damaged, 1000.0)
    assert not (left.running & damaged) - {left.production}
    if left.production in damaged:
        assert left.production == state.production
        assert state.standby is None or state.standby in damaged
    if not state.running & damaged:
        assert left == state


def test_sound_standby_takes_the_place_of_a_damaged_production():
    state = EndpointState(production=B, standby=A).start(C, 20, 10, 0)
    left = state.without({B}, 5)
    assert (left.production, left.candidate, left.standby, left.weights) == (A, None, None, {A: 100})


# Users who are held back


def held(percent: int = 5) -> EndpointState:
    """B is production since 100; some users stay on A until 200."""
    return EndpointState(production=A).start(B, 50, 10, 0).ramp(100, 10, 100, hold_back=percent, hold_back_for=100)


def test_those_held_back_are_who_would_have_come_last_to_the_new_version() -> None:
    state, almost = held(), EndpointState(production=A).start(B, 95, 10, 0)
    assert (state.phase, state.weights, state.held_back.until) == ("serving", {B: 95, A: 5}, 200)
    users = [f"user {n}" for n in range(2000)]
    assert [state.choose("loop", user) for user in users] == [almost.choose("loop", user) for user in users]
    assert {A, B} == {state.choose("loop", user) for user in users}


def test_holding_back_ends_with_its_time_a_canary_or_a_rollback_but_not_with_a_shadow() -> None:
    state = held()
    assert state.expire(199) is state
    over = state.expire(200)
    assert (over.weights, over.standby, over.since, over.rejected) == ({B: 100}, A, 200, ()), "it may still be gone back to"
    shadow = state.start(C, 0, 10, 110)
    assert (shadow.phase, shadow.weights) == ("shadow", {B: 95, A: 5})
    assert shadow.rollback(120).weights == shadow.expire(121).weights == {B: 95, A: 5}
    later = shadow.renew(999, 120).expire(200)
    assert (later.held_back, later.weights, later.since) == (None, {B: 100}, 110), "the pairs of the shadow still count"
    assert shadow.without({A}, 120).since == 110
    assert shadow.ramp(5, 10, 120).weights == state.start(C, 5, 10, 120).weights == {C: 5, B: 95}
    assert state.rollback(120).weights == {A: 100}
    assert state.start(A, 0, 10, 120).weights == {B: 100}, "a candidate has no users of its own in shadow"
    for damaged in ({A}, {B}):
        assert list(state.without(damaged, 120).weights.values()) == [100]
    again = state.start(C, 5, 10, 120).ramp(100, 10, 130, hold_back=1, hold_back_for=10)
    assert again.weights == {C: 99, B: 1}, "the next promotion holds back on the version before it"


def test_a_rollback_that_a_promotion_came_before_takes_the_promoted_version_out() -> None:
    canary = EndpointState(production=A).start(B, 20, 10, 0)
    promoted = canary.ramp(100, 10, 1)
    assert canary.rollback_of(canary, 2).weights == promoted.rollback_of(canary, 2).weights == {A: 100}
    assert promoted.rollback_of(canary, 2).rejected == promoted.rollback_of(promoted, 2).rejected == (B,)
    assert canary.rollback(1).rollback_of(canary, 2) == canary.rollback(1), "somebody else did it"
    superseded = canary.start(C, 5, 10, 1, supersede=True)
    assert superseded.rollback_of(canary, 2) == superseded
    with pytest.raises(NotPossible, match="became the candidate meanwhile"):
        promoted.start(C, 5, 10, 2).rollback_of(canary, 3)
    again = promoted.start(C, 5, 10, 2).ramp(100, 10, 3, hold_back=5, hold_back_for=99)
    assert again.rollback_of(canary, 4) == again, "B answers those held back: whoever asked is told"


def test_a_newer_candidate_takes_the_place_of_another_which_is_not_rejected() -> None:
    canary = EndpointState(production=A).start(B, 20, 10, 0)
    for weight, weights_then in ((5, {C: 5, A: 95}), (0, {A: 100})):
        state = canary.start(C, weight, 10, 1, supersede=True)
        assert (state.candidate, state.weights, state.rejected, state.since, state.lease_until) == (C, weights_then, (), 1, 11)
