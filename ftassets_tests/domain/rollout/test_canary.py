"""A canary's next move, and that looking often does not make it jumpy."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.config.loop import Rollout
from ftassets.domain.rollout.canary import (
    COLLAPSE,
    CanaryAnswers,
    CanaryEvidence,
    Counts,
    Latest,
    Move,
    RolloutDecision,
    decide,
    one_by_one,
)
from ftassets.domain.rollout.endpoint import EndpointState
from ftassets.domain.rollout.guardrails import FIRST, RATIOS, Failure, e_value, rollback_limit
from ftassets.domain.traffic.lapses import LapseCounts

ERRORS = {"metric": "errors", "required": False}

POLICY = Rollout.model_validate({"steps": (5, 20, 50, 100), "interval": 300, "min_requests": 100, "guardrails": [ERRORS]})


def canary(weight: int = 20, since: float = 0.0) -> EndpointState:
    return EndpointState(production="p" * 64, candidate="c" * 64, weight=weight, since=since, lease_until=1e9)


def answers(count: int, share: float = 0.2, candidate: bool = True, failed: int = 0) -> list[CanaryAnswers]:
    return [CanaryAnswers(candidate, 100 * share, i < failed) for i in range(count)]


def traffic(rng: np.random.Generator, n: int, share: float, candidate: float, production: float) -> list[CanaryAnswers]:
    """n answers at a weight, with the failure rate of either version."""
    mine = rng.random(n) < share
    failed = rng.random(n) < np.where(mine, candidate, production)
    return [CanaryAnswers(bool(m), 100 * share, bool(f)) for m, f in zip(mine, failed, strict=True)]


def decided(state: EndpointState, answers: list[CanaryAnswers], policy: Rollout, now: float) -> RolloutDecision:
    return decide(state, one_by_one(answers), policy, now)


def rolled_back_at(canary_answers: list[CanaryAnswers], every: int) -> int | None:
    """Answers seen at the first look that rolls back; a look after each `every` answers."""
    for seen in range(every, len(canary_answers) + 1, every):
        if decided(canary(), canary_answers[:seen], POLICY, 1e6).move is Move.ROLLBACK:
            return seen
    return None


# The e-value


def evidence(answers: Sequence[CanaryAnswers]) -> float:
    return e_value(one_by_one(answers).failures["errors"])


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.floats(0.01, 0.99)), max_size=50))
def test_without_failures_there_is_no_evidence(seen: list[tuple[bool, float]]) -> None:
    assert evidence([CanaryAnswers(mine, 100 * share, False) for mine, share in seen]) == pytest.approx(1.0)


def test_one_failure_by_hand() -> None:
    share = 0.2
    mine = sum(part * r / (r * share + 1 - share) for r, part in RATIOS.items())
    theirs = sum(part / (r * share + 1 - share) for r, part in RATIOS.items())
    assert evidence([CanaryAnswers(True, 100 * share, True)]) == pytest.approx(mine)
    assert evidence([CanaryAnswers(False, 100 * share, True)]) == pytest.approx(theirs)
    # a fair bet: worth 1 on average when the failure is the candidate's with probability share
    assert share * mine + (1 - share) * theirs == pytest.approx(1.0)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.floats(0.02, 0.98), max_size=7))
def test_worth_one_on_average_under_equal_rates(shares: list[float]) -> None:
    total = 0.0
    for cell in range(2 ** len(shares)):
        sides = [bool(cell >> i & 1) for i in range(len(shares))]
        chance = float(np.prod([s if side else 1 - s for s, side in zip(shares, sides, strict=True)]))
        total += chance * evidence([CanaryAnswers(side, 100 * s, True) for s, side in zip(shares, sides, strict=True)])
    assert total == pytest.approx(1.0)


def test_thousands_of_failures_do_not_overflow() -> None:
    assert evidence(answers(20_000, 0.05, failed=20_000)) > 1e100
    assert evidence(answers(20_000, 0.05, candidate=False, failed=20_000)) < 1e-9


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_without_a_choice_a_failure_says_nothing(share: float) -> None:
    assert evidence(answers(50, share, failed=50)) == pytest.approx(1.0)


# Users


def failures_of(users: Sequence[tuple[bool, int]], weight: float = 5.0) -> list[Failure]:
    return [Failure(mine, weight, f"user {number}", window) for number, (mine, window) in enumerate(users)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3)), max_size=12), st.sampled_from([5.0, 50.0]))
def test_the_largest_of_the_processes_counts_and_a_user_once_in_each(users: list[tuple[bool, int]], weight: float) -> None:
    failures = failures_of(users, weight)
    again = [replace(each, window=each.window + 1) for each in failures]  # everybody fails again, a window later
    found = []
    for began in range(6):
        first: dict[str, Failure] = {}
        for each in sorted(failures + again, key=lambda failure: failure.window):
            if each.window >= began:
                first.setdefault(each.user, each)
        alone = e_value([replace(each, window=0) for each in first.values()])
        found.append(alone * (1 if began == 0 else (1 - FIRST) / FIRST / (began * (began + 1))))
    begun = {0, *(each.window for each in failures + again)}
    assert e_value(failures + again) == pytest.approx(max(found[window] for window in begun))


def test_the_parts_of_all_processes_are_no_more_than_the_whole_error() -> None:
    windows = range(1, 10_000)
    assert FIRST + sum((1 - FIRST) / (window * (window + 1)) for window in windows) == pytest.approx(1, abs=1e-4)


def test_a_candidate_that_gets_worse_on_its_third_day_is_rolled_back_though_every_user_failed_before() -> None:
    quiet = failures_of([(number % 20 == 0, 0) for number in range(300)])
    later = [replace(each, window=2) for each in quiet if each.candidate]
    assert e_value(quiet) < 1.5
    assert e_value(quiet + later) >= rollback_limit(POLICY)


@pytest.mark.parametrize(("users", "more", "back"), [(1, True, False), (2, True, False), (3, True, True), (1, False, True)])
def test_a_collapse_is_not_one_user_s_unless_the_candidate_has_no_other(users: int, more: bool, back: bool) -> None:
    seen = CanaryEvidence(latest=Latest(answers(COLLAPSE, failed=COLLAPSE), users, more))
    assert (decide(canary(since=1e6), seen, POLICY, 1e6).move is Move.ROLLBACK) is back


# Many looks


@pytest.mark.parametrize(("rate", "share"), [(0.02, 0.5), (0.1, 0.2), (0.3, 0.5), (0.3, 0.05)])
def test_equal_failure_rates_seldom_roll_back_over_many_ticks(rate: float, share: float) -> None:
    rng = np.random.default_rng(2)
    runs = 40
    false = sum(rolled_back_at(traffic(rng, 1000, share, rate, rate), every=40) is not None for _ in range(runs))
    assert false / runs <= 0.125  # expected at most 0.05: 6 of 40 or more has probability 0.014


def test_a_failing_canary_goes_back_soon() -> None:
    rng = np.random.default_rng(4)
    seen = [rolled_back_at(traffic(rng, 2000, 0.2, 0.3, 0.01), every=50) for _ in range(20)]
    assert all(seen)
    assert np.median([s for s in seen if s]) <= 150


def test_an_outage_of_both_rolls_nothing_back_and_promotes_nothing() -> None:
    rng = np.random.default_rng(6)
    for share in (0.05, 0.2, 0.5):
        before = traffic(rng, 200, share, 0.01, 0.01)
        outage = traffic(rng, 400, share, 1.0, 1.0)
        assert rolled_back_at(before + outage, every=20) is None
        assert decided(canary(round(100 * share)), outage, POLICY, 1e6).move is Move.NOT_ENOUGH_DATA


def test_a_long_good_past_does_not_hide_a_collapse() -> None:
    rng = np.random.default_rng(7)
    past = traffic(rng, 20_000, 0.2, 0.05, 0.05)
    now = traffic(rng, 100, 0.2, 1.0, 0.05)
    assert evidence(past + now) < rollback_limit(POLICY)  # the e-value alone would need longer
    decision = decided(canary(), past + now, POLICY, 1e6)
    assert decision.move is Move.ROLLBACK
    assert "last 10 answers all failed" in decision.reason


# The moves


def test_no_canary_is_no_decision() -> None:
    with pytest.raises(ValueError, match="no canary"):
        decided(EndpointState(production="p" * 64), [], POLICY, 0.0)


def test_holds_until_the_step_has_lasted() -> None:
    decision = decided(canary(since=1000.0), answers(500), POLICY, 1299.0)
    assert (decision.move, decision.weight) == (Move.HOLD, 20)
    assert decided(canary(since=1000.0), answers(500), POLICY, 1300.0).move is Move.RAMP


@pytest.mark.parametrize(("weight", "following"), [(5, 20), (20, 50), (7, 20)])
def test_ramps_to_the_next_step(weight: int, following: int) -> None:
    decision = decided(canary(weight), answers(100, weight / 100), POLICY, 1e6)
    assert (decision.move, decision.weight) == (Move.RAMP, following)


@pytest.mark.parametrize("weight", [50, 99])
def test_the_last_step_promotes(weight: int) -> None:
    decision = decided(canary(weight), answers(100, weight / 100), POLICY, 1e6)
    assert (decision.move, decision.weight) == (Move.PROMOTE, 100)


@pytest.mark.parametrize(("policy", "move"), [("hold", Move.NOT_ENOUGH_DATA), ("rollback", Move.ROLLBACK)])
def test_too_few_answers(policy: Literal["hold", "rollback"], move: Move) -> None:
    rollout = POLICY.model_copy(update={"on_not_enough_data": policy})
    for canary_answers in ([], answers(99), answers(500, 0.8, candidate=False)):
        decision = decided(canary(), canary_answers, rollout, 1e6)
        assert decision.move is move
        assert "are needed" in decision.reason
        assert decision.weight == (0 if move is Move.ROLLBACK else 20)


def test_each_step_needs_answers_of_its_own() -> None:
    decision = decided(canary(20), answers(5000, 0.05) + answers(99, 0.2), POLICY, 1e6)
    assert decision.move is Move.NOT_ENOUGH_DATA
    assert "99 good answers of the candidate at 20 %" in decision.reason


def test_evidence_is_carried_over_the_steps() -> None:
    earlier = answers(3, 0.05, failed=3)
    assert decided(canary(20), earlier + answers(200), POLICY, 1e6).move is Move.ROLLBACK


def test_a_rollback_does_not_wait_for_the_step() -> None:
    decision = decided(canary(since=1000.0), answers(20, failed=20), POLICY, 1001.0)
    assert (decision.move, decision.weight) == (Move.ROLLBACK, 0)


@settings(deadline=None)
@given(st.data())
def test_any_past_gives_a_sound_move(data: Any) -> None:
    weight = data.draw(st.integers(1, 99))
    outcome = st.builds(CanaryAnswers, st.booleans(), st.sampled_from([0.0, 0.05, weight / 100, 1.0]), st.booleans())
    canary_answers = data.draw(st.lists(outcome, max_size=200))
    policy = POLICY.model_copy(update={"min_requests": 5})
    decision = decided(canary(weight), canary_answers, policy, data.draw(st.floats(0, 1000)))
    assert decision.reason
    match decision.move:
        case Move.HOLD | Move.NOT_ENOUGH_DATA:
            assert decision.weight == weight
        case Move.RAMP | Move.PROMOTE:
            assert decision.weight > weight
            assert decision.weight in policy.steps
        case Move.ROLLBACK:
            assert decision.weight == 0
            assert any(o.candidate and o.failed for o in canary_answers)


def counted(answers: Sequence[CanaryAnswers]) -> list[CanaryAnswers]:
    """The same answers, those that are alike together and in no order."""
    return [replace(answer, count=count) for answer, count in Counter(answers).items()]


@settings(deadline=None)
@given(
    st.lists(st.builds(CanaryAnswers, st.booleans(), st.sampled_from([5.0, 20.0, 50.0]), st.booleans()), max_size=60),
    st.lists(st.builds(CanaryAnswers, st.booleans(), st.just(20.0), st.just(True)), max_size=30),
)
def test_counts_decide_as_the_answers_one_by_one_do(past: list[CanaryAnswers], outage: list[CanaryAnswers]) -> None:
    seen, policy = one_by_one(past + outage), POLICY.model_copy(update={"min_requests": 5})
    expected = decide(canary(), seen, policy, 1e6)
    failures = [Failure(answer.candidate, answer.weight, count=answer.count) for answer in counted(past + outage) if answer.failed]
    latest = replace(seen.latest, answers=counted(seen.latest.answers))
    found = decide(canary(), CanaryEvidence(counted(past + outage), {"errors": failures}, latest), policy, 1e6)
    assert (found.move, found.weight, found.reason) == (expected.move, expected.weight, expected.reason)
    assert found.evidence == pytest.approx(expected.evidence)


def test_a_collapse_is_the_candidate_s_last_answers_while_most_of_production_s_were_good() -> None:
    before = answers(100) + answers(300, candidate=False, failed=60)  # so that the e-value says nothing yet
    for mine, theirs, back in ((COLLAPSE, 5, True), (COLLAPSE - 1, 5, False), (COLLAPSE, 6, False)):
        failing = answers(mine, failed=mine) + answers(10, candidate=False, failed=theirs)
        assert decided(canary(since=1e6), before + failing, POLICY, 1e6).reason.startswith("the candidate's last 10") is back, (
            mine,
            theirs,
        )
    recovered = answers(COLLAPSE, failed=COLLAPSE) + answers(1)
    assert decided(canary(since=1e6), before + recovered, POLICY, 1e6).move is Move.HOLD


# Several guardrails


def of_users(users: int, share: float, answers: int = 20) -> LapseCounts:
    """Users with as many answers each, and lapses as evenly as can be."""
    lapses = round(users * answers * share)
    each, more = divmod(lapses, users)
    squares = (users - more) * each**2 + more * (each + 1) ** 2
    return LapseCounts(users, users * answers, lapses, users * answers**2, squares, lapses * answers, each + 1)


FULL = Rollout(steps=(5, 50, 100), interval=300, min_requests=100)
GOOD = {"errors": 0.01, "form": 0.01, "latency": 0.03, "thumbs_down": 0.05, "corrections": 0.02}


def all_of(users: int, **worse: float) -> dict[Any, Counts]:
    usual = {**GOOD, "latency": 0.05}
    return {
        metric: Counts(of_users(users, share + worse.get(metric, 0.0)), of_users(users, usual[metric])) for metric, share in GOOD.items()
    }


def at_the_last_step(shares: dict[Any, Counts], failures: dict[Any, Sequence[Failure]] | None = None) -> RolloutDecision:
    return decide(canary(50), CanaryEvidence(answers(1000, 0.5), failures or {}, counts=shares), FULL, 1e6)


def test_all_traffic_needs_a_proof_in_each_guardrail_that_is_required() -> None:
    decision = at_the_last_step(all_of(3000))
    assert decision.move is Move.PROMOTE
    assert "no worse than production by more than the margin in errors, form, latency, thumbs_down, corrections" in decision.reason
    for metric, worse in (("errors", 0.005), ("form", 0.02), ("latency", 0.02), ("thumbs_down", 0.05), ("corrections", 0.05)):
        decision = at_the_last_step(all_of(3000, **{metric: worse}))
        assert (decision.move, decision.weight) == (Move.NOT_ENOUGH_DATA, 50)
        assert f"{metric}: +" in decision.reason
        assert decision.reason.count(" points at most") == 1


def test_what_hardly_a_user_of_production_has_is_not_asked_for_but_errors_are() -> None:
    shares = all_of(3000) | {metric: Counts(of_users(99, 0.5), of_users(99, 0.0)) for metric in ("thumbs_down", "corrections")}
    assert at_the_last_step(shares).move is Move.PROMOTE
    assert at_the_last_step({}).reason.startswith("not proved to be as good as production (errors: too few users)")


def test_earlier_steps_need_no_proof() -> None:
    assert decide(canary(5), CanaryEvidence(answers(1000, 0.05)), FULL, 1e6).move is Move.RAMP


@pytest.mark.parametrize("metric", ["errors", "form", "latency", "first_token", "length", "thumbs_down", "corrections"])
def test_any_guardrail_rolls_back_and_says_which(metric: Any) -> None:
    worse = [Failure(True, 5.0, f"user {number}") for number in range(8)]
    decision = at_the_last_step(all_of(3000), {metric: worse})
    assert decision.move is Move.ROLLBACK
    assert f"({metric}: e-value " in decision.reason


def test_the_guardrails_share_the_error() -> None:
    assert sum(1 / rollback_limit(FULL, each.metric) for each in FULL.guardrails) == pytest.approx(FULL.false_rollback * FIRST)
    assert rollback_limit(POLICY) == pytest.approx(1 / POLICY.false_rollback / FIRST)
