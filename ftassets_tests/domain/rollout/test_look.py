"""What is kept of a look, and that a move can be made again from it alone."""

import json
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Rollout
from ftassets.domain.canonical import canonical_json
from ftassets.domain.rollout.canary import CanaryAnswers, CanaryEvidence, Counts, Latest, Move, decide
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import Failure, e_value
from ftassets.domain.rollout.look import MOVES, RolloutLook, decided_again, is_kept, rollout_look, shadow_look
from ftassets.domain.rollout.shadow_phase import ShadowEvidence, decide_shadow
from ftassets.domain.traffic.lapses import LapseCounts
from ftassets.domain.traffic.shadow_answer import Discordant, PairCounts, PairLapse, ShadowCounts

POLICY = Rollout(interval=60.0, min_requests=5)
STATE = EndpointState(production="a" * 64).start("b" * 64, 20, 600, 1000.0)
NAMES = st.sampled_from(["", "anna", "ben", "cleo"])
FAILURE = st.builds(Failure, st.booleans(), st.sampled_from([5.0, 20.0]), NAMES, st.integers(0, 3), st.integers(1, 4))
FAILURES = st.lists(FAILURE, max_size=12)
LAPSES = st.tuples(st.integers(0, 2000), st.integers(0, 40)).map(lambda n: once(n[0] + n[1], n[1]))


def once(users: int, lapsed: int) -> LapseCounts:
    """Of users who asked once each."""
    return LapseCounts(users, users, lapsed, users, lapsed, lapsed, min(lapsed, 1))


EVIDENCE = st.builds(
    CanaryEvidence,
    st.lists(st.builds(CanaryAnswers, st.booleans(), st.just(20.0), st.booleans(), st.integers(1, 50)), max_size=4),
    st.dictionaries(st.sampled_from(["errors", "form", "thumbs_down"]), FAILURES),
    st.builds(Latest, st.just(()), st.integers(0, 3), st.booleans()),
    st.dictionaries(st.sampled_from(["errors", "form"]), st.builds(Counts, LAPSES, LAPSES)),
)


def looked(seen: CanaryEvidence, now: float = 1100.0) -> RolloutLook:
    return rollout_look(STATE, seen, POLICY, now, decide(STATE, seen, POLICY, now))


@given(EVIDENCE, st.sampled_from([1010.0, 1100.0]))
def test_a_move_is_made_again_from_what_is_stored_without_a_name(seen: CanaryEvidence, now: float) -> None:
    decision, look = decide(STATE, seen, POLICY, now), looked(seen, now)
    stored = json.dumps(look.document())
    assert not any(name in stored for name in ("anna", "ben", "cleo"))
    again = RolloutLook.parse(json.loads(stored))
    assert again == look
    assert (look.basis is not None) == (decision.move in MOVES)
    if look.basis:
        assert decided_again(again) == decision


def test_a_user_s_second_lapse_stays_the_same_user_s() -> None:
    failures = [Failure(True, 20.0, user, window) for user in ("anna", "ben") for window in (0, 1)]
    seen = CanaryEvidence([CanaryAnswers(True, 20.0, False, 9)], {"errors": failures})
    look = looked(seen)
    assert (look.move, look.basis and len(look.basis.evidence["failures"]["errors"])) == (Move.RAMP, 4)
    assert look.guardrails[0].e_value == e_value(failures) != e_value([Failure(True, 20.0, str(n)) for n in range(4)])


def test_what_is_not_known_is_none() -> None:
    [errors] = [each for each in looked(CanaryEvidence()).guardrails if each.metric == "errors"]
    assert decide(STATE, CanaryEvidence(), POLICY, 1100.0).guardrails[0].bound == inf
    assert (errors.bound, errors.e_value) == (None, pytest.approx(0.95, abs=0.1))


def test_a_look_that_moved_nothing_cannot_be_made_again() -> None:
    with pytest.raises(ValueError, match="moved no traffic"):
        decided_again(looked(CanaryEvidence(), 1010.0))


def test_a_week_of_looks_is_some_hundred_lines() -> None:
    hold, kept = looked(CanaryEvidence(), 1010.0), list[RolloutLook]()
    for tick in range(7 * 24 * 120):
        found = hold.model_copy(update={"at": 1010.0 + 30.0 * tick})
        if not kept or is_kept(kept[0], kept[-1], found):
            kept.append(found)
    assert 100 < len(kept) < 500
    ramp = kept[-1].model_copy(update={"move": Move.RAMP, "at": kept[-1].at + 1})
    assert is_kept(kept[0], kept[-1], ramp)
    assert not is_kept(kept[0], ramp, ramp.model_copy(update={"at": ramp.at + 1})), "its run has not begun yet"


def test_a_move_out_of_shadow_is_made_again_from_its_look() -> None:
    policy = Rollout.model_validate({"shadow": {"min_requests": 5}})
    state = EndpointState(production="p" * 64, candidate="c" * 64, since=0.0, lease_until=1e9)
    counts = ShadowCounts(9, 9, 9, 8, {PairLapse.MALFORMED: PairCounts(9, 1, 0, 0)})
    worse = [Discordant(PairLapse.ERROR, True, f"user {n}", 0) for n in range(30)]
    for seen, move in (
        (ShadowEvidence(counts, [Discordant(PairLapse.MALFORMED, True, "anna", 0)]), Move.RAMP),
        (ShadowEvidence(counts, worse), Move.ROLLBACK),
    ):
        decision = decide_shadow(state, seen, policy, 60.0)
        look = RolloutLook.parse(canonical_json(shadow_look(state, seen, policy, 60.0, decision).document()))
        assert (look.move, look.weight, look.guardrails) == (move, 0, ())
        assert [each.metric for each in look.pairs] == [each.metric for each in decision.compared]
        assert "anna" not in str(look.document())
        again = decided_again(look)
        assert (again.move, again.weight, again.reason) == (decision.move, decision.weight, decision.reason)
    held = decide_shadow(state, ShadowEvidence(), policy, 60.0)
    assert shadow_look(state, ShadowEvidence(), policy, 60.0, held).basis is None
