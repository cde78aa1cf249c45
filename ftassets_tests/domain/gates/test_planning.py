"""Plans of gates against the functions that decide, and against simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.latency import latency_power
from ftassets.domain.gates.planning import (
    POWER,
    GatePlan,
    RowCounts,
    bound_power,
    fewest_rows,
    held_back,
    passes,
    plan,
    plan_any_of,
    plan_gate,
    plan_policy,
    power,
    rows_needed,
)
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import pair_p_values
from ftassets.domain.statistics import fewest_right, p95_ratio_upper_bound

BETTER = Gate(metric="exact_match", better_than="production")


NO_WORSE = Gate(metric="exact_match", no_worse_than="production", margin=0.02)


FIELDS = Gate(metric="field_accuracy", no_worse_than="production", margin=0.05, confidence=0.9)


LATENCY = Gate(metric="latency_p95", no_worse_than="production", margin=0.2)


REPORT = EvalReport(
    loop="l", run_id="r", candidate="c", production="p", production_is_base=False, base="b", dataset_commit="d", golden_commit="g",
    policy_digest="o", generation={}, scores={}, latency_ms={}, answers={},
)  # fmt: skip


def scores(right: list[bool]) -> list[Score]:
    return [Score(id=str(i), slice="golden", exact=r, fields=float(r), valid=True) for i, r in enumerate(right)]


def gate_passes(gate: Gate, wins: int, losses: int, n: int) -> bool:
    others = [True] * (n - wins - losses)
    sides = {
        "candidate": scores([True] * wins + [False] * losses + others),
        "production": scores([False] * wins + [True] * losses + others),
    }
    return evaluate_gates([gate], REPORT.model_copy(update={"scores": sides}))[0].verdict is Verdict.PASS


@settings(deadline=None)
@given(st.sampled_from([BETTER, NO_WORSE, FIELDS]), st.integers(0, 40), st.integers(0, 40), st.integers(0, 400))
def test_plan_and_gate_agree_on_every_outcome(gate: Gate, wins: int, losses: int, others: int) -> None:
    n = max(1, wins + losses + others)
    assert bool(passes(gate, np.array([wins]), np.array([losses]), n)[0]) is gate_passes(gate, wins, losses, n)


@pytest.mark.parametrize("gate", [BETTER, NO_WORSE])
def test_power_is_the_sum_over_every_outcome(gate: Gate) -> None:
    from math import comb

    n, discordance, effect = 14, 0.3, 0.1
    p, q = (discordance + effect) / 2, (discordance - effect) / 2
    total = sum(
        comb(n, w) * comb(n - w, x) * p**w * q**x * (1 - p - q) ** (n - w - x) * gate_passes(gate, w, x, n)
        for w in range(n + 1)
        for x in range(n + 1 - w)
    )
    assert power(gate, n, effect, discordance) == pytest.approx(total, abs=1e-8)


@pytest.mark.parametrize("gate", [BETTER, NO_WORSE])
@pytest.mark.parametrize(("n", "effect", "discordance"), [(200, 0.04, 0.1), (500, 0.0, 0.1), (1000, 0.02, 0.2), (300, -0.02, 0.04)])
def test_power_is_the_simulated_one_within_three_points(gate: Gate, n: int, effect: float, discordance: float) -> None:
    rng = np.random.default_rng(1)
    p, q = (discordance + effect) / 2, (discordance - effect) / 2
    draws = rng.multinomial(n, [p, q, 1 - p - q], size=4000)
    simulated = passes(gate, draws[:, 0], draws[:, 1], n).mean()
    assert power(gate, n, effect, discordance) == pytest.approx(simulated, abs=0.03)


@pytest.mark.parametrize(
    ("gate", "win", "lose"),
    [
        (BETTER, 0.07, 0.03),
        (BETTER, 0.02, 0.0),
        (NO_WORSE, 0.05, 0.05),
        (NO_WORSE, 0.01, 0.012),
        (NO_WORSE.model_copy(update={"margin": 0.1}), 0.1, 0.1),
    ],
)
def test_the_rows_that_a_plan_asks_for_pass_in_80_of_100_simulated_reports(gate: Gate, win: float, lose: float) -> None:
    n = rows_needed(gate, win - lose, win + lose)
    assert n is not None
    draws = np.random.default_rng(5).multinomial(n, [win, lose, 1 - win - lose], size=4000)
    assert passes(gate, draws[:, 0], draws[:, 1], n).mean() == pytest.approx(0.8, abs=0.05)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 2000), st.floats(0.001, 1.0))
def test_an_equal_model_is_called_better_at_most_as_often_as_the_gate_says(n: int, discordance: float) -> None:
    assert power(BETTER, n, 0.0, discordance) <= 0.05 + 1e-9


def test_power_grows_with_the_effect_and_vanishes_without_rows() -> None:
    powers = [power(BETTER, 400, effect, 0.1) for effect in (-0.1, -0.02, 0.0, 0.02, 0.04, 0.1)]
    assert powers == sorted(powers)
    assert powers[-1] > 0.999
    assert power(BETTER, 0, 0.04, 0.1) == 0.0


def test_models_that_never_differ_are_no_worse_with_enough_rows() -> None:
    assert power(NO_WORSE, 2000, 0.0, 0.0) == pytest.approx(1.0)
    assert power(NO_WORSE, 20, 0.0, 0.0) == 0.0
    assert power(BETTER, 2000, 0.0, 0.0) == 0.0


@pytest.mark.parametrize(("effect", "discordance"), [(0.2, 0.1), (-0.2, 0.1), (0.0, 1.1), (0.0, -0.1)])
def test_a_difference_larger_than_the_discordance_is_impossible(effect: float, discordance: float) -> None:
    with pytest.raises(ValueError, match="needs a discordance between"):
        power(BETTER, 100, effect, discordance)


@pytest.mark.parametrize(("gate", "effect"), [(BETTER, 0.04), (BETTER, 0.1), (NO_WORSE, 0.0), (FIELDS, 0.0)])
def test_rows_needed_is_where_the_power_is_reached(gate: Gate, effect: float) -> None:
    rows = rows_needed(gate, effect, 0.1)
    assert rows is not None
    assert power(gate, rows, effect, 0.1) >= POWER > power(gate, rows - 1, effect, 0.1)
    assert power(gate, rows // 2, effect, 0.1) < POWER


def test_no_number_of_rows_proves_an_equal_model_no_worse_at_all() -> None:
    plan = plan_gate(NO_WORSE.model_copy(update={"margin": 0.0}), [300], 0.04, 0.1, 0.3)
    assert plan.needed is None
    assert 0.02 < (plan.power or 0) <= 0.05
    assert "cannot pass an equal model reliably" in plan.sentence


def test_a_weak_gate_says_how_many_rows_it_needs() -> None:
    plan = plan_gate(NO_WORSE, [300], 0.04, 0.1, 0.3)
    assert plan.effect == 0.0
    assert plan.sentence == "non-inferiority with margin 0.02 on 300 rows passes an equal model with only 23%: it needs about 1,700"
    assert plan.needed is not None
    assert 1600 < plan.needed < 1700
    assert plan_gate(BETTER, [500], 0.04, 0.1, 0.3).sentence == "superiority on 500 rows passes a model better by 4 points with 87%"
    assert "has no rows: it never passes" in plan_gate(BETTER, [0], 0.04, 0.1, 0.3).sentence


@pytest.mark.parametrize(("n", "spread", "margin"), [(60, 0.3, 0.5), (100, 0.3, 0.2), (150, 0.6, 0.5), (400, 0.3, 0.2)])
def test_latency_power_is_the_simulated_one(n: int, spread: float, margin: float) -> None:
    rng = np.random.default_rng(3)
    times = rng.lognormal(5, spread, (400, 2, n))
    bounds = [p95_ratio_upper_bound(mine.tolist(), theirs.tolist(), 0.95) for mine, theirs in times]
    gate = LATENCY.model_copy(update={"margin": margin})
    # 0.08 is three standard errors of the simulation
    assert latency_power(gate, n, spread) == pytest.approx(
        np.mean([bound is not None and bound < 1 + margin for bound in bounds]), abs=0.08
    )


def test_a_latency_gate_needs_pairs_and_a_spread() -> None:
    assert latency_power(LATENCY, 58, 0.3) == 0.0
    plan = plan_gate(LATENCY, [20], 0.04, 0.1, 0.3)
    assert plan.needed is not None
    assert 300 < plan.needed < 380
    assert "20 pairs of requests passes an equal model with only" in plan.sentence
    with pytest.raises(ValueError, match="spread"):
        latency_power(LATENCY, 100, 0.0)
    with pytest.raises(ValueError, match="latency_p95 does not count rows"):
        passes(LATENCY, np.array([1]), np.array([1]), 10)


@pytest.mark.parametrize("bound", [{"at_least": 0.9}, {"at_most": 0.1}])
def test_power_of_a_fixed_bound_is_the_gates_own(bound: dict[str, float]) -> None:
    gate, n = Gate(metric="exact_match", **bound), 60
    good = [right if gate.at_least else n - right for right in range(n + 1)]
    wins = [
        evaluate_gates([gate], REPORT.model_copy(update={"scores": {"candidate": scores([True] * g + [False] * (n - g))}}))[0].verdict
        is Verdict.PASS
        for g in good
    ]
    from math import comb

    expected = sum(comb(n, right) * 0.96**right * 0.04 ** (n - right) * won for right, won in enumerate(wins))
    assert bound_power(gate, n, 0.06) == pytest.approx(expected, abs=1e-9)
    assert bound_power(gate, 5, 0.06) == bound_power(gate, 0, 0.06) == 0.0


def test_row_scores_are_planned_with_the_bound_that_judges_them() -> None:
    rouge = Gate(metric="rouge.rougeL", better_than="production")
    five, none = np.array([5]), np.array([0])
    assert passes(rouge, five, none, 10)[0]
    assert not passes(rouge, five - 1, none, 10)[0]
    sides = {
        role: [s.model_copy(update={"values": {rouge.metric: float(s.exact)}}) for s in scores([role == "candidate"] * 5 + [True] * 5)]
        for role in ("candidate", "production")
    }
    assert evaluate_gates([rouge], REPORT.model_copy(update={"scores": sides}))[0].verdict is Verdict.PASS
    assert plan_gate(rouge, [500], 0.04, 0.1, 0.3).power == pytest.approx(0.87, abs=0.03)


def test_presets_are_planned_as_what_they_stand_for_at_the_gain_they_name() -> None:
    plan = plan_gate(Gate(preset="rouge_l"), [500], 0.04, 0.1, 0.3)
    assert (plan.name, plan.effect) == ("preset_rouge_l", 0.02)
    assert plan_gate(Gate(preset="bertscore_f1"), [500], 0.04, 0.1, 0.3).power == pytest.approx(0.87, abs=0.03)


def test_any_of_is_as_sure_as_its_best_member_after_holm() -> None:
    members = [BETTER, Gate(metric="f1", better_than="production")]
    plan = plan_any_of(Gate(any_of=members), [[500], [500]], 0.04, 0.1, 0.3)
    assert plan.power == power(BETTER.model_copy(update={"confidence": 0.975}), 500, 0.04, 0.1)
    none = plan_any_of(Gate(any_of=[members[1], Gate(metric="llm_judge", better_than="production")]), [[500], [100]], 0.04, 0.1, 0.3)
    assert none.power is None
    assert "none of its gates can be planned" in none.sentence


SLICES = [BETTER.model_copy(update={"slice": name}) for name in ("new", "old")]


def test_any_of_slices_without_a_common_row_passes_as_often_as_planned() -> None:
    either = Gate(any_of=SLICES)
    found = plan_any_of(either, [[150], [150]], 0.04, 0.1, 0.3)
    rng, draws, n = np.random.default_rng(4), 20_000, found.needed or 0
    strict = BETTER.model_copy(update={"confidence": 0.975})
    for rows, wanted in ((150, found.power), (n, POWER)):
        won, lost, _ = rng.multinomial(rows, [0.07, 0.03, 0.9], size=(2, draws)).transpose(2, 0, 1)
        assert np.mean(passes(strict, won, lost, rows).any(axis=0)) == pytest.approx(wanted, abs=0.012)
    assert f"any of 2 slices, with Holm's correction, passes a model better by 4 points in each with {found.power:.0%}" in found.sentence
    together = plan_policy([either, BETTER], RowCounts({"new": 150, "old": 150}), 0.04, 0.1, 0.3)
    assert together.at_most == pytest.approx(min(power(BETTER, 300, 0.04, 0.1), 2 * power(strict, 150, 0.04, 0.1)))


def test_the_least_share_of_missed_models_is_a_bound_from_below_and_of_the_gain_it_is_for() -> None:
    counts = RowCounts({"new": 150, "old": 150})
    for gain in (0.02, 0.04, 0.08):
        alone = power(BETTER.model_copy(update={"confidence": 0.975}), 150, gain, 0.1)
        found = held_back([Gate(any_of=SLICES)], counts, gain, 0.1, 0.05)
        assert found == pytest.approx(max(0.0, 1 - 2 * alone))
        assert found <= (1 - alone) ** 2, "independent slices miss so many"
    by_gain = [held_back([Gate(preset="rouge_l")], counts, gain, 0.1, 0.05) or 0.0 for gain in (0.02, 0.04, 0.08)]
    assert by_gain == [pytest.approx(1 - power(BETTER, 300, gain, 0.1)) for gain in (0.02, 0.04, 0.08)]
    assert held_back([Gate(preset="latency"), Gate(metric="exact_match", at_least=0.5)], counts, 0.04, 0.1, 0.05) is None


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_below_the_fewest_rows_even_a_perfect_candidate_fails(share: float, confidence: float) -> None:
    floor = Gate(metric="exact_match", at_least=share, confidence=confidence)
    assert fewest_rows(floor) == next(n for n in range(1, 1000) if share**n <= 1 - confidence)  # Clopper-Pearson with no failure
    better = Gate(metric="exact_match", better_than="production", confidence=confidence)
    assert fewest_rows(better) == next(n for n in range(1, 100) if 0.5**n < 1 - confidence)  # exact McNemar, all pairs for one side
    for gate in (floor, better):
        needed = fewest_rows(gate)
        assert (gate_passes(gate, needed - 1, 0, needed - 1), gate_passes(gate, needed, 0, needed)) == (False, True)


def test_rows_of_a_gate_are_those_of_its_slice() -> None:
    counts = RowCounts({"golden": 30, "hard": 8, "held_out": 50}, {"general": 12})
    better = {"better_than": "production"}
    for gate, rows in (
        (Gate(metric="exact_match", **better), 38),
        (Gate(metric="exact_match", slice="hard", **better), 8),
        (Gate(metric="exact_match", slice="held_out", **better), 50),
        (Gate(metric="exact_match", slice="general", **better), 12),
        (Gate(metric="exact_match", slice="nonesuch", **better), 0),
        (Gate(metric="human_review", sample=20, at_least=0.9), 20),
        (Gate(metric="human_review", sample=20, slice="hard", at_least=0.9), 8),
        (Gate(metric="latency_p95", pairs=40, at_most=100), 40),
    ):
        assert counts.of(gate) == rows, gate
    assert RowCounts({"held_out": 5}).of(Gate(metric="latency_p95", at_most=100)) == 0
    assert counts.slices == ["general", "golden", "hard", "held_out"]


@pytest.mark.parametrize(("gate", "effect"), [({"at_least": 0.8}, 0.04), ({"no_worse_than": "production", "margin": 0.1}, 0.0)])
@pytest.mark.parametrize("classes", [2, 8])
def test_a_plan_for_every_class_states_the_chance_that_all_pass(gate: dict[str, Any], effect: float, classes: int) -> None:
    asked, names = Gate.model_validate({"metric": "recall", **gate}), [f"c{n}" for n in range(classes)]

    def planned(rows: int) -> GatePlan:
        counts = RowCounts({"golden": classes * rows}, classes={"golden": dict.fromkeys(names, rows)}, labels=names)
        return plan(asked, counts, 0.04, 0.1, 0.3)

    found = planned(200)
    assert found.needed is not None
    n, rng = found.needed, np.random.default_rng(0)
    if effect:
        first = fewest_right(n, 0.8, 0.95)
        one = rng.binomial(n, 0.84, size=(4000, classes)) >= (first or 0)
    else:
        table = rng.multinomial(n, [0.05, 0.05, 0.9], size=(4000, classes))
        one = pair_p_values(table[..., 0].ravel(), table[..., 1].ravel(), n, -0.1).reshape(4000, classes) < 0.05
    assert np.mean(one.all(axis=1)) == pytest.approx(0.8, abs=0.05)
    assert planned(n).power == pytest.approx(np.mean(one.all(axis=1)), abs=0.03)
    assert np.mean(one) > 0.88, "one class alone passes more often"
    assert f"on 200 rows of the rarest of {classes} classes" in found.sentence
    assert f"{' in each'}" in found.sentence


def test_classes_with_few_rows_hold_back_what_the_others_pass() -> None:
    counts = RowCounts({"golden": 800}, classes={"golden": {"a": 700, "b": 100}}, labels=["a", "b"])
    gate = Gate(metric="recall", at_least=0.8)
    found, rare = plan(gate, counts, 0.04, 0.1, 0.3), bound_power(gate, 100, 0.04)
    assert found.power == pytest.approx(rare * bound_power(gate, 700, 0.04))
    assert found.rows == 100
    held = held_back([Gate(metric="recall", no_worse_than="production", margin=0.1)], counts, 0.0, 0.1, 0.05)
    alone = held_back([Gate(metric="recall", label="b", no_worse_than="production", margin=0.1)], counts, 0.0, 0.1, 0.05)
    assert held is not None
    assert alone is not None
    assert held > alone


def test_rows_for_all_gates_let_a_good_candidate_past_all_of_them_in_four_of_five_cases() -> None:
    """Independent slices, the least that gates can have in common; and two gates on one slice."""
    hard, easy = (Gate(metric="exact_match", slice=name, no_worse_than="production", margin=0.1) for name in ("hard", "easy"))
    better = Gate(metric="exact_match", slice="new", better_than="production")
    gates = [hard, easy, better, BETTER.model_copy(update={"slice": "new", "confidence": 0.9})]
    found = plan_policy(gates, RowCounts({"hard": 100, "easy": 200, "new": 300}), 0.04, 0.1, 0.3)
    chances = [each.power or 0.0 for each in found.gates]
    assert (found.power, found.at_most) == (pytest.approx(np.prod(chances)), min(chances))
    assert found.at_least == pytest.approx(max(0.0, 1 - sum(1 - chance for chance in chances)))
    needed = {each.name: each.needed_for_all or 0 for each in found.gates}
    rng, draws = np.random.default_rng(9), 4000
    passed = np.ones(draws, dtype=bool)
    for gate in (hard, easy):
        won, lost, _ = rng.multinomial(needed[gate.name], [0.05, 0.05, 0.9], size=draws).T
        passed &= passes(gate, won, lost, needed[gate.name])
    won, lost, _ = rng.multinomial(needed[better.name], [0.07, 0.03, 0.9], size=draws).T
    for gate in gates[2:]:
        passed &= passes(gate, won, lost, needed[better.name])
    assert 0.79 <= passed.mean() <= 0.88
