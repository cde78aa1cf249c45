"""A year of decisions: levels that add up to no more than the budget, whatever comes when."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from ftassets.domain.gates.error_budget import (
    DAY,
    LEAST,
    YEAR,
    Ledger,
    Spending,
    at_level,
    evidence_key,
    outlook,
    steady_level,
    wanted_level,
)
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import pair_p_values
from ftassets_tests.domain.gates.reports import report, rows

BETTER = Gate(metric="exact_match", better_than="production")
NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.05)
REVIEWED = Gate(metric="human_review", at_least=0.9)


def year(times: list[float], per_year: float = 1.0, wanted: float = 0.05) -> Ledger:
    """A ledger of decisions at these days."""
    ledger = Ledger(decisions=())
    for number, day in enumerate(times):
        ledger = ledger.with_decision(per_year, wanted, str(number), "candidate", "golden", day * DAY)
    return ledger


def levels(times: list[float], per_year: float = 1.0, wanted: float = 0.05) -> list[float]:
    """The level of each decision."""
    ledger, found = Ledger(decisions=()), []
    for number, day in enumerate(times):
        ledger = ledger.with_decision(per_year, wanted, str(number), "candidate", "golden", day * DAY)
        found.append(ledger.decisions[-1].level)
    return found


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(st.floats(0, 1), st.floats(0, 60), st.floats(0, 500)), min_size=1, max_size=80),
    st.sampled_from([0.1, 0.5, 1.0, 3.0]),
    st.sampled_from([0.01, 0.05, 0.3]),
)
def test_the_levels_of_any_365_days_never_exceed_the_budget(gaps: list[float], per_year: float, wanted: float) -> None:
    days = np.cumsum(gaps)
    found = np.array(levels(days.tolist(), per_year, wanted))
    assert (found > 0).all()
    assert (found <= wanted).all()
    for day in days:
        assert found[(days >= day) & (days <= day + 365)].sum() <= per_year + len(found) * LEAST


def test_a_loop_with_few_candidates_keeps_its_level_and_one_with_many_shares_a_years_budget() -> None:
    monthly, weekly, daily = ([n * 365 / each for n in range(2 * each)] for each in (12, 52, 365))
    assert set(levels(monthly)) == {0.05}
    assert levels(weekly)[:3] == [0.05, 0.05, 0.0435]
    assert levels(weekly)[-1] == pytest.approx(steady_level(1, 0.05, 52), rel=0.02) == pytest.approx(0.8 / 52, rel=0.02)
    assert levels(daily)[-1] == pytest.approx(0.8 / 365, rel=0.02)
    assert levels([0.0] * 6) == [0.05, 0.05, 0.0333, 0.0222, 0.0148, 0.0099]  # a burst never stops dead
    assert sum(levels(weekly)[:52]) > 0.9


def test_each_level_follows_from_what_is_stored() -> None:
    ledger = year([0, 3, 4, 30, 31, 200])
    stored = Ledger.parse(ledger.document())
    assert stored == ledger
    for before, made in zip(ledger.decisions, ledger.decisions[1:], strict=False):
        known = Ledger(decisions=(before,))
        assert known.with_decision(1.0, 0.05, made.key, made.candidate, made.golden_commit, made.at).decisions[-1] == made


def test_the_same_evidence_is_one_decision_for_a_year() -> None:
    ledger = year([0, 1, 2])
    assert ledger.with_decision(1.0, 0.05, "1", "candidate", "golden", 30 * DAY) is ledger
    again = ledger.with_decision(1.0, 0.05, "1", "candidate", "golden", 400 * DAY)
    assert [each.at / DAY for each in again.decisions] == [0, 1, 2, 400]
    assert [each.at / DAY for each in again.counted(400 * DAY)] == [400], "older ones do not count"
    spending = ledger.spending(1.0, "1")
    assert (spending.level, spending.decisions, spending.spent) == (0.05, 2, 0.1)
    with pytest.raises(KeyError, match="never"):
        ledger.spending(1.0, "never")


def test_a_clock_that_is_set_back_gives_nothing_and_does_not_stop_the_loop() -> None:
    wrong = [0.0, 30000.0, 1.0, 1.0, 1.0]  # days: once, a clock was some 80 years ahead
    assert levels(wrong) == [0.05, 0.05, 0.05, 0.0333, 0.0222]
    assert levels([*wrong, 60.0])[-1] == 0.05
    assert outlook(year(wrong), 1.0, 0.05, 61 * DAY).level == 0.05


def test_a_clock_that_goes_forth_and_back_spends_no_more_than_a_budget() -> None:
    for cycle in ([5, 0], [0, 5], [0, 2, 5], [3, 0, 1, 9, 0.2]):
        years = [cycle[n % len(cycle)] for n in range(200)]
        assert sum(levels([365 * each for each in years])) <= 1.2, "it was 10: one bucketful each time"
    forth_and_back = [5 * 365.0 * (n % 2) for n in range(50)]
    assert sum(levels(forth_and_back)) < 1.0
    held = outlook(year(forth_and_back), 1.0, 0.05, 0.0)
    assert held.level < 0.005
    assert held.full_in is None
    assert "the clock was set back by 1825 days, so that decisions from before count for as much longer" in held.sentence
    # a clock that showed 1970 once costs nothing once it is right again
    assert levels([10_000, 0, 10_001])[-1] == 0.05
    assert levels([10_000, 0, 10_001, *range(10_002, 10_300, 7)])[-1] > 0.015


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_order_of_decisions_budgets_and_clocks_spends_more_than_a_budget_in_365_days(data: st.DataObject) -> None:
    ledger = Ledger(decisions=())
    per_year, now = 1.0, 4000 * DAY
    made: list[tuple[float, float, float]] = []  # clock, budget, level
    for _ in range(data.draw(st.integers(1, 60))):
        step = data.draw(st.sampled_from(["new", "new", "again", "budget", "clock", "wait", "killed"]))
        if step == "budget":
            per_year = data.draw(st.sampled_from([0.01, 0.1, 1.0, 3.0]))
        elif step == "clock":
            now = data.draw(st.sampled_from([0.0, 1000.0, 3999.0, 4000.0, 4100.0, 9000.0, 30000.0])) * DAY
        elif step == "wait":
            now += data.draw(st.floats(0, 200)) * DAY
        else:
            key = str(len(made)) if step == "new" else str(data.draw(st.integers(0, max(len(made) - 1, 0))))
            after = ledger.with_decision(per_year, 0.05, key, "candidate", "golden", now)
            if step == "killed":
                continue  # before the ledger was written, and so before anybody read a verdict
            spending = after.spending(per_year, key)
            assert spending.level <= 0.05
            assert Ledger.parse(after.document()) == after
            if after is ledger:
                assert spending.level in {level for _, budget, level in made if budget <= per_year}
            else:
                made.append((now, per_year, spending.level))
                assert after.spending(per_year, key).per_year == per_year
            ledger = after
    floor = LEAST * len(made)
    for start, _, _ in made:
        inside = [(budget, level) for at, budget, level in made if start <= at < start + YEAR]
        assert sum(level / budget for budget, level in inside) <= 1 + floor / 0.01 + 1e-9
        for most in {budget for budget, _ in inside}:
            assert sum(level for budget, level in inside if budget <= most) <= most + floor + 1e-9


@pytest.mark.parametrize("count", [16, 26, 52])
def test_evidence_judged_again_at_a_lower_budget_takes_from_the_lower_one(count: int) -> None:
    days = [n * 365 / count for n in range(count)]
    ledger = year(days)
    for number in range(count):
        ledger = ledger.with_decision(0.01, 0.05, str(number), "candidate", "golden", 365 * DAY + number)
    again = [ledger.spending(0.01, str(number)) for number in range(count)]
    assert sum(each.level for each in again) <= 0.01
    assert all(each.level > 0 for each in again)
    assert sum(each.level for each in ledger.counted(365 * DAY) if each.per_year == 0.01) <= 0.01
    back = ledger.with_decision(1.0, 0.05, "3", "candidate", "golden", 366 * DAY)
    assert back is ledger, "a higher budget gives evidence no new chance"
    assert back.spending(1.0, "3").level == again[3].level


def test_a_budget_that_is_raised_and_lowered_again_gives_nothing() -> None:
    ledger, low = Ledger(decisions=()), 0.0
    for number in range(300):
        per_year = 0.01 if number % 2 else 1.0
        ledger = ledger.with_decision(per_year, 0.05, str(number), "candidate", "golden", number * DAY)
        low += ledger.decisions[-1].level if number % 2 else 0
    assert 0.002 < low < 0.01


def test_a_ledger_of_the_first_format_says_no_budget_and_gets_the_smallest_that_fits() -> None:
    document = {"decisions": [each.model_dump(exclude={"per_year"}) for each in year([0, 30, 31]).decisions]}
    assert [each.per_year for each in Ledger.parse(document).decisions] == [1.0, 1.0, 1.0]
    assert Ledger.parse({"decisions": []}) == Ledger(decisions=())
    for damaged in ({"decisions": [{"level": 0.05}]}, {"decisions": [1]}, {"decisions": {}}, {}):
        with pytest.raises(ValueError, match="validation error"):
            Ledger.parse(damaged)


def test_hundreds_of_decisions_at_once_leave_a_level_at_which_gates_can_still_be_computed() -> None:
    found = levels([0.0] * 300)
    assert found[-1] == LEAST
    assert sum(found) <= 0.2 + 300 * LEAST
    budget = Spending(per_year=1.0, level=LEAST, left=0.0, spent=0.2, decisions=300)
    times = {"candidate": [1.0] * 400, "production": [1.1] * 400}
    made = report(rows([1.0] * 60), rows([0.0] * 60), times).model_copy(update={"error_budget": budget})
    latency = Gate(metric="latency_p95", no_worse_than="production", margin=0.2)
    assert [each.verdict for each in evaluate_gates([BETTER, latency], made)] == [Verdict.PASS, Verdict.NOT_ENOUGH_DATA]


def test_the_outlook_says_what_is_left_and_when_the_full_level_is_back() -> None:
    fresh = outlook(Ledger(decisions=()), 1.0, 0.05, 0.0)
    assert (fresh.level, fresh.left, fresh.spent, fresh.full_in) == (0.05, 0.2, 0, 0.0)
    burst = year([0, 0, 0, 0])
    found = outlook(burst, 1.0, 0.05, 0.0)
    assert found.level < 0.05
    assert found.full_in is not None
    assert outlook(burst, 1.0, 0.05, (found.full_in - 1) * DAY).level < 0.05
    assert outlook(burst, 1.0, 0.05, (found.full_in + 1) * DAY).level == 0.05
    assert outlook(Ledger(decisions=()), 0.3, 0.05, 0.0).full_in is None, (
        "a third of what a small budget can save is below the gates' level"
    )
    assert outlook(burst, 1.0, 0.05, YEAR + DAY).decisions == 0


def test_a_gate_gets_stricter_never_looser() -> None:
    assert at_level(BETTER, 0.02).confidence == 0.98
    assert at_level(BETTER, 0.05) is BETTER
    assert at_level(BETTER, 0.4) is BETTER
    assert wanted_level([BETTER, NO_WORSE.model_copy(update={"confidence": 0.9})]) == pytest.approx(0.1)


def test_a_verdict_is_at_the_level_of_its_report_and_says_so() -> None:
    won = report(rows([1.0] * 60), rows([0.0] * 5 + [1.0] * 55))  # p = 1/32
    assert evaluate_gates([BETTER], won)[0].verdict is Verdict.PASS
    weekly = year([7 * n for n in range(20)])
    late = won.model_copy(update={"error_budget": weekly.spending(1.0, "19")})
    [found] = evaluate_gates([BETTER], late)
    assert found.verdict is Verdict.NOT_ENOUGH_DATA
    assert "98.46 % lower bound" in found.sentence
    assert found.sentence.endswith(
        "tested at 0.0154, not 0.05: what the budget of 1 bad promotion a year leaves after 19 other decisions in 365 days"
    )
    first = won.model_copy(update={"error_budget": weekly.spending(1.0, "1")})
    assert evaluate_gates([BETTER], first) == evaluate_gates([BETTER], won)
    both = Gate(any_of=[BETTER, Gate(metric="field_accuracy", better_than="production")])
    easy = report(rows([1.0] * 60), rows([0.0] * 6 + [1.0] * 54))  # p = 1/64, with Holm 1/32
    assert evaluate_gates([both], easy)[0].verdict is Verdict.PASS
    assert evaluate_gates([both], easy.model_copy(update={"error_budget": late.error_budget}))[0].verdict is Verdict.NOT_ENOUGH_DATA


def test_a_decision_is_what_the_gates_see() -> None:
    made = report(rows([1.0] * 9), rows([0.5] * 9), {"candidate": [1.0], "production": [2.0]})
    key = evidence_key(made, [BETTER])
    again = made.model_copy(update={"run_id": "another", "golden_uses": 9, "ttft_ms": {"candidate": [3.0]}})
    assert evidence_key(again, [BETTER]) == key
    others: list[dict[str, object]] = [
        {"scores": {**made.scores, "candidate": rows([0.9] * 9)}},
        {"latency_ms": {"candidate": [1.5], "production": [2.0]}},
        {"golden_commit": "other"}, {"production": "other"}, {"policy_digest": "other"},
    ]  # fmt: skip
    assert len({key, *(evidence_key(made.model_copy(update=each), [BETTER]) for each in others)}) == 1 + len(others)
    assert evidence_key(again, [REVIEWED]) != evidence_key(made, [REVIEWED]), "people review a sample that each report draws anew"


def test_a_year_of_equal_candidates_on_one_golden_set() -> None:
    # the fault: 26 equal candidates, tested one by one at 5 % on the same 300 rows
    rng, years, n = np.random.default_rng(14), 4000, 300
    found = np.array(levels([14.0 * k for k in range(26)]))
    before, after = np.zeros(years), np.zeros(years)
    for level in found:  # production is another one each time: the one before was replaced
        won, lost = rng.multinomial(n, [0.15, 0.15, 0.7], size=years)[:, :2].T
        p = pair_p_values(won, lost, n, 0.0)
        before, after = before + (p < 0.05), after + (p < level)
    assert np.mean(before > 0) > 0.6, "what it was"
    assert np.mean(after > 0) < np.mean(before > 0) - 0.1
    assert after.mean() < found.sum() < 1.0
    # as often as all of them together may err is a matter of the budget
    rare = np.array(levels([14.0 * k for k in range(26)], per_year=0.05))
    assert rare.sum() <= 0.05
    assert (rare > 0.001).all()


def test_a_year_in_which_production_is_chosen_on_the_same_rows_errs_less_often() -> None:
    # every candidate is as good as the first production; who passes becomes production, and its luck stays with it
    rng, years, n = np.random.default_rng(15), 1500, 300
    found = np.array(levels([14.0 * k for k in range(26)]))
    easy = rng.choice([0.5, 0.9], size=(years, n))  # how likely each row is answered right
    production, passes = rng.random((years, n)) < easy, np.zeros(years)
    for level in found:
        candidate = rng.random((years, n)) < easy
        won, lost = (candidate & ~production).sum(axis=1), (production & ~candidate).sum(axis=1)
        better = pair_p_values(won, lost, n, 0.0) < level
        passes += better
        production = np.where(better[:, None], candidate, production)
    assert passes.mean() < 0.7 * found.sum()


def test_the_worst_dependence_costs_no_more_than_the_sum_of_levels() -> None:
    # one candidate at the boundary evaluated again and again, by exact sums: right on a share of 0.9 of 200 rows, at_least 0.9
    found = sorted(levels([7 * k for k in range(52)]))
    right = np.arange(201)
    p = binom.sf(right - 1, 200, 0.9)
    chance = [float(binom.pmf(right, 200, 0.9)[p < level].sum()) for level in found]
    assert sum(chance) <= sum(found) <= 1.0
