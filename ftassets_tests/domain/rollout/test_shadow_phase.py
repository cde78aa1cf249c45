"""What the pairs of a shadow decide, and how often they stop a candidate that is as good as production."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftassets.config.loop import Rollout
from ftassets.domain.evaluation.answer_form import Text, ToolCall
from ftassets.domain.rollout.canary import Move
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import FIRST, RATIOS, rollback_limit
from ftassets.domain.rollout.shadow_phase import (
    PAIR_LAPSES,
    PAIR_PARTS,
    SUSPECT,
    ShadowDecision,
    ShadowEvidence,
    agreement,
    compared_in_shadow,
    decide_shadow,
    first_weight,
    is_copied,
    pair_limit,
    paired,
)
from ftassets.domain.traffic.shadow_answer import Discordant, PairCounts, PairLapse, ShadowCounts
from ftassets.testing.contracts.traffic_log import exchange

P, C = "p" * 64, "c" * 64
STATE = EndpointState(production=P, candidate=C, since=1000.0, lease_until=1e9)
POLICY = Rollout.model_validate({"shadow": {"min_requests": 100, "max_time": "2h"}})


def seen(good: int = 0, copies: int | None = None, **lapses: tuple[int, int]) -> ShadowEvidence:
    """Pairs with so many lapses of the candidate alone and of production alone, each of another user."""
    discordant, counts = [], {}
    for name, (mine, theirs) in lapses.items():
        lapse = PairLapse(name)
        discordant += [Discordant(lapse, n < mine, f"{name} {n}", 0) for n in range(mine + theirs)]
        counts[lapse] = PairCounts(good, mine, theirs, 0)
    return ShadowEvidence(ShadowCounts(good if copies is None else copies, good, good, good, counts), discordant)


def decided(evidence: ShadowEvidence, waited: float = 60.0, **changes: Any) -> ShadowDecision:
    return decide_shadow(STATE, evidence, POLICY.model_copy(update=changes), STATE.since + waited)


def test_each_respect_has_a_lapse_of_its_own_and_a_part() -> None:
    assert PAIR_LAPSES.keys() == PAIR_PARTS.keys() == set(compared_in_shadow(Rollout()))
    assert set(PAIR_LAPSES.values()) == set(PairLapse)
    few = Rollout.model_validate({"guardrails": [{"metric": "errors"}, {"metric": "thumbs_down"}]})
    assert compared_in_shadow(few) == ["errors"], "feedback is not seen"


def test_it_holds_until_there_are_answers_and_goes_on_then() -> None:
    assert decided(seen(99)).move is Move.HOLD
    assert decided(seen(99)).reason == "99 good answers to 99 copies in shadow, 100 are needed; the phase may last 119.0 min more"
    found = decided(seen(100, 103))
    assert (found.move, found.weight) == (Move.RAMP, 5)
    assert found.reason.startswith("100 good answers to 103 copies in shadow")


def test_when_the_time_is_over_the_policy_says_what_happens() -> None:
    assert decided(seen(99), 7200.0).move is Move.NOT_ENOUGH_DATA
    assert "raise rollout.shadow.sample, or ramp by hand" in decided(seen(99), 7200.0).reason
    assert decided(seen(99), 7200.0, on_not_enough_data="rollback").move is Move.ROLLBACK
    assert decided(seen(100), 7200.0).move is Move.RAMP


def test_a_candidate_that_is_worse_is_rolled_back_with_the_numbers() -> None:
    found = decided(seen(100, malformed=(20, 1)))
    assert found.move is Move.ROLLBACK
    assert "form: 20 of its answers and 1 of production's in 100 pairs, e-value" in found.reason
    assert decided(seen(100, malformed=(1, 20))).move is Move.RAMP


def test_some_evidence_against_it_asks_for_more_copies() -> None:
    found = decided(seen(100, malformed=(8, 0)))
    [form] = [each for each in found.compared if each.metric == "form"]
    assert SUSPECT * form.limit <= form.e_value < form.limit
    assert (found.move, found.weight) == (Move.HOLD, 0)
    assert "some evidence against it" in found.reason
    assert decided(seen(100, malformed=(8, 0)), 7200.0).move is Move.NOT_ENOUGH_DATA


def test_answers_that_all_fail_are_not_good_ones_whoever_asked() -> None:
    one_user = ShadowEvidence(ShadowCounts(5000, 0), [Discordant(PairLapse.ERROR, True, "u", 0)])
    assert decided(one_user).move is Move.HOLD


def test_without_the_phase_in_the_loop_file_it_goes_on() -> None:
    assert decided(seen(0), shadow=None).move is Move.RAMP
    with pytest.raises(ValueError, match="no candidate is in shadow"):
        decide_shadow(replace_weight(5), seen(0), POLICY, 0.0)


def replace_weight(weight: int) -> EndpointState:
    return STATE.model_copy(update={"weight": weight})


LAPSES = st.lists(
    st.builds(Discordant, st.sampled_from(list(PairLapse)), st.booleans(), st.sampled_from(["", "a", "b", "c"]), st.integers(0, 2)),
    max_size=30,
    unique_by=lambda each: (each.lapse, each.user, each.window) if each.user else object(),
)


@given(LAPSES, st.integers(0, 300), st.floats(0, 1e5), st.randoms())
def test_the_decision_is_one_of_its_inputs_alone(lapses: list[Discordant], good: int, waited: float, rng: Any) -> None:
    evidence = ShadowEvidence(ShadowCounts(good, good), lapses)
    found = decided(evidence, waited)
    mixed = [*lapses]
    rng.shuffle(mixed)
    again = decided(ShadowEvidence(evidence.counts, mixed), waited)
    assert (found.move, found.reason) == (again.move, again.reason)
    assert found.weight == (POLICY.steps[0] if found.move is Move.RAMP else 0)
    assert (found.move is Move.ROLLBACK) == any(each.e_value >= each.limit for each in found.compared)
    if found.move is Move.RAMP:
        assert good >= 100
    theirs = [replace(each, candidate=False) for each in lapses]
    assert decided(ShadowEvidence(evidence.counts, theirs), waited).move is not Move.ROLLBACK, "only production lapses"
    more = [*lapses, Discordant(PairLapse.ERROR, True, "", 0, 40)]
    if found.move is Move.ROLLBACK:
        assert decided(ShadowEvidence(evidence.counts, more), waited).move is Move.ROLLBACK


def test_the_e_value_is_that_of_fair_coins() -> None:
    for mine, theirs in ((0, 0), (7, 0), (12, 5), (3, 9)):
        wanted = sum(w * (2 * r / (1 + r)) ** mine * (2 / (1 + r)) ** theirs for r, w in RATIOS.items())
        [form] = [each for each in decided(seen(10, malformed=(mine, theirs))).compared if each.metric == "form"]
        assert form.e_value == pytest.approx(wanted)


def test_an_equal_candidate_is_stopped_at_most_as_often_as_stated_over_any_length() -> None:
    """Exact: chances of each count of the candidate's lapses among 2,000 discordant users, without those stopped before."""
    whole = 0.0
    for metric in PAIR_PARTS:
        limit, going, stopped = pair_limit(POLICY, metric), np.array([1.0]), 0.0
        ratios, weights = np.array(list(RATIOS)), np.array(list(RATIOS.values()))
        for number in range(1, 2001):
            going = (np.append(going, 0.0) + np.insert(going, 0, 0.0)) / 2
            mine = np.arange(number + 1)[:, None]
            logs = mine * np.log(2 * ratios / (1 + ratios)) + (number - mine) * np.log(2 / (1 + ratios))
            over = (np.exp(np.minimum(logs, 600)) @ weights) >= limit
            stopped += float(going[over].sum())
            going = np.where(over, 0.0, going)
        assert stopped <= 1 / limit
        whole += stopped / FIRST
    assert whole <= POLICY.false_rollback / 2


def test_both_phases_share_the_error() -> None:
    alone = Rollout.model_validate({"shadow": None})
    assert rollback_limit(POLICY) == 2 * rollback_limit(alone)
    spent = sum(1 / pair_limit(POLICY, metric) for metric in PAIR_PARTS) / FIRST
    assert spent == pytest.approx(POLICY.false_rollback / 2)


def test_the_sample_is_of_the_requests_and_another_for_each_candidate() -> None:
    names = [f"chatcmpl-{n}" for n in range(4000)]
    first, second = ([is_copied("voice", version, name, 0.2) for name in names] for version in (C, P))
    assert 700 < sum(first) < 900
    assert 100 < sum(a and b for a, b in zip(first, second, strict=True)) < 220
    assert all(is_copied("voice", C, name, 0.4) for name, known in zip(names, first, strict=True) if known)
    assert all(is_copied("voice", C, name, 1.0) for name in names)


def test_a_release_starts_in_shadow_where_the_loop_has_it() -> None:
    serving = EndpointState(production=P)
    assert first_weight(POLICY, serving, C) == 0
    assert first_weight(POLICY, STATE, C) == 5, "it goes on from shadow"
    assert first_weight(POLICY, EndpointState(), C) == 5, "there is no production to compare with"
    assert first_weight(Rollout(), serving, C) == 5


def test_a_pair_says_how_both_answers_ended() -> None:
    form, row = ToolCall(), exchange(1, well_formed=True)
    mine = exchange(1, version="v2", answer='{ "intent":"on" }', latency_ms=20.0, tokens_out=11).judged(form)
    pair = paired(row, mine, form)
    assert (pair.request_id, pair.version, pair.production, pair.at) == ("voice-1", "v2", "v1", 1.0)
    assert (pair.agrees, pair.refused, pair.well_formed, pair.production_well_formed) == (True, False, True, True)
    assert (pair.latency_ms, pair.production_latency_ms, pair.tokens_out, pair.production_tokens_out) == (20.0, 12.5, 11, 9)
    refused = paired(row, replace(mine, answer="I'm sorry, I cannot do that").judged(form), form)
    assert (refused.agrees, refused.refused, refused.well_formed) == (False, True, False)
    assert paired(row, replace(mine, well_formed=False, error="the client's own"), form).well_formed is None
    failed = paired(row, replace(mine, status=502, answer="", error="broke off", well_formed=None, refused=None), form)
    assert (failed.agrees, failed.refused, failed.well_formed, failed.error) == (None, None, None, "broke off")
    assert paired(replace(row, status=502), mine, form).agrees is None
    assert paired(replace(row, answer="no call"), mine, form).agrees is None, "nothing can be compared with it"
    assert paired(replace(row, answer="On."), replace(mine, answer=" On. "), Text()).agrees is True


def test_agreement_has_its_interval() -> None:
    assert agreement(ShadowCounts()) == "no pair of answers could be compared"
    assert agreement(ShadowCounts(100, 100, 100, 90)).startswith("90 of 100 pairs agree, 90.0% (95 % interval 82.4% to 95.1%)")
