"""All gates of a policy together: what is an intersection, what is a union, and that both keep the stated error."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import binom, binomtest

from ftassets.config.loop_files import read_loops
from ftassets.domain.evaluation.parity import Parity
from ftassets.domain.evaluation.scoring import Score
from ftassets.domain.gates.error_budget import Spending
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.parity import evaluate_parity
from ftassets.domain.gates.policy import evaluate_gates, passed
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.mean_bounds import mean_p_value, pair_p_values
from ftassets.domain.power import critical_wins, likely
from ftassets.domain.statistics import p95_ratio_ranks
from ftassets_tests import ROOT
from ftassets_tests.domain.gates.reports import report

ALPHA, RUNS, ROWS = 0.05, 40, 150
NOISE = 3 * np.sqrt(ALPHA * (1 - ALPHA) / RUNS)
POLICY = read_loops(ROOT / "ftassets" / "loops")["support_triage"].gates
PRODUCTION, GOOD, HARD = 0.7, 0.9, 0.3  # shares of right rows; a third of them is hard


def scored(rng: np.random.Generator, share: float, hard: float) -> list[Score]:
    right = rng.random(ROWS) < np.where(np.arange(ROWS) % 3 == 0, hard, share)
    slices = np.where(np.arange(ROWS) % 3 == 0, "hard", "golden")
    return [Score(id=f"r{n}", slice=str(slices[n]), exact=bool(right[n]), fields=float(right[n]), valid=True) for n in range(ROWS)]


def made(rng: np.random.Generator, share: float, hard: float, slower: float = 0.8) -> EvalReport:
    times = rng.lognormal(5, 0.3, (2, 300))
    scores = scored(rng, share, hard), scored(rng, PRODUCTION, HARD)
    return report(*scores, {"candidate": (times[0] * slower).tolist(), "production": times[1].tolist()})


@pytest.mark.parametrize(
    ("share", "hard", "slower"),
    [
        (0.9, 0.25, 0.8),  # worse by the margin on hard rows, better on the others
        (0.9, 0.6, 1.2),  # slower by the margin
        (PRODUCTION, HARD - 0.05, 1.2),  # wrong in everything, each by no more than its limit
    ],
)
def test_a_candidate_that_breaks_one_claim_passes_all_gates_no_more_often_than_that_gate_errs(
    share: float, hard: float, slower: float
) -> None:
    assert {gate.name for gate in POLICY} == {
        "exact_match_better", "exact_match_at_least", "field_accuracy_hard_no_worse", "latency_p95_no_worse",
    }  # fmt: skip
    rng = np.random.default_rng(3)
    wrong = sum(passed(evaluate_gates(POLICY, made(rng, share, hard, slower))) for _ in range(RUNS))
    assert wrong / RUNS <= ALPHA + NOISE


def test_the_gates_of_a_policy_reject_a_good_candidate_no_more_often_than_one_gate_would() -> None:
    # as good as production in everything, so that four claims are just true: one FAIL would reject it
    gates = [Gate(metric="exact_match", slice=name, no_worse_than="production", margin=0.0001) for name in ("hard", "golden")] + [
        Gate(metric="exact_match", better_than="production"),
        Gate(metric="field_accuracy", better_than="production"),
    ]
    rng = np.random.default_rng(4)
    found = []
    for _ in range(RUNS):
        judged = made(rng, PRODUCTION, HARD)
        together = any(result.verdict is Verdict.FAIL for result in evaluate_gates(gates, judged))
        alone = any(evaluate_gates([gate], judged)[0].verdict is Verdict.FAIL for gate in gates)
        found.append((together, alone))
    together, alone = np.mean(found, axis=0)
    assert together <= ALPHA + NOISE
    assert alone > together, "uncorrected, each gate has its own chance"


DRAWS = 20_000


def drawn(rng: np.random.Generator, gain: float, hard: float, slower: float) -> dict[str, Any]:
    """What each gate of the policy sees of many candidates: rows that only one has right, all and hard; right ones; response times.

    Errors of the candidate on hard rows are errors on all rows too, so that the gates depend on each other.
    """
    easy_won, easy_lost, _ = rng.multinomial(200, [0.05 + gain / 2, 0.05 - gain / 2, 0.9], size=DRAWS).T
    won, lost, _ = rng.multinomial(100, [0.03, 0.03 + hard, 0.94 - hard], size=DRAWS).T
    right = rng.binomial(300, 0.7, size=DRAWS)
    upper, lower = p95_ratio_ranks(400, 1 - ALPHA) or (0, 0)
    ours, theirs = (np.exp(0.3 * ndtri(rng.beta(rank, 401 - rank, DRAWS))) for rank in (upper, lower))
    return {
        "better": pair_p_values(easy_won + won, easy_lost + lost, 300, 0.0) < ALPHA,
        "at_least": binom.sf(right - 1, 300, 0.6) < ALPHA,
        "hard": pair_p_values(won, lost, 100, -0.05) < ALPHA,
        "latency": ours * slower < 1.2 * theirs,
    }


@pytest.mark.parametrize("broken", ["better", "hard", "latency", "all"])
def test_the_gates_of_a_policy_together_err_no_more_than_one_of_them_in_many_draws(broken: str) -> None:
    changed: dict[str, dict[str, float]] = {
        "better": {"gain": -0.015}, "hard": {"hard": 0.05}, "latency": {"slower": 1.2}, "all": {"gain": 0.025, "hard": 0.05, "slower": 1.2},
    }  # fmt: skip
    found = drawn(np.random.default_rng(7), **({"gain": 0.09, "hard": -0.03, "slower": 0.9} | changed[broken]))
    together = np.logical_and.reduce(list(found.values())).mean()
    assert together <= ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / DRAWS)
    if broken != "all":
        assert together <= found[broken].mean()
        assert min(passes.mean() for name, passes in found.items() if name != broken) > 0.3, "the others alone would let it pass"


def test_an_uncorrected_union_of_gates_would_err_more_by_exact_sums() -> None:
    # any_of over k independent slices, equal models: what Holm's first step keeps
    n, differing, gates = 200, 0.2, 4
    losses = likely(n, differing / 2)
    weights = binom.pmf(losses, n, differing / 2)

    def passes(alpha: float) -> float:
        first = critical_wins(n, losses, 0.0, alpha)
        return float(weights @ binom.sf(first - 1, n - losses, differing / 2 / (1 - differing / 2)))

    assert 1 - (1 - passes(ALPHA)) ** gates > 0.12
    assert 1 - (1 - passes(ALPHA / gates)) ** gates <= ALPHA
    assert pair_p_values(0, 0, n, 0.0) == 1


def test_a_fail_of_one_of_several_gates_says_what_it_would_take() -> None:
    gates = [Gate(metric="exact_match", better_than="production"), Gate(metric="field_accuracy", at_least=0.1)]
    lost = [Score(id=f"r{n}", slice="golden", exact=n >= 5, fields=1.0, valid=True) for n in range(60)]
    right = [each.model_copy(update={"exact": True}) for each in lost]
    alone, [first, second] = evaluate_gates(gates[:1], report(lost, right))[0], evaluate_gates(gates, report(lost, right))
    assert alone.verdict is Verdict.FAIL  # p = 1/32
    assert (first.verdict, second.verdict) == (Verdict.NOT_ENOUGH_DATA, Verdict.PASS)
    assert first.sentence.endswith("one of 2 gates, so that FAIL takes 97.5 %")
    assert "97.5 % lower bound" in first.sentence
    worse = [each.model_copy(update={"exact": each.exact and n % 3 > 0}) for n, each in enumerate(right)]
    assert evaluate_gates(gates, report(worse, right))[0].verdict is Verdict.FAIL


def test_the_level_of_the_decision_holds_for_all_gates_at_once() -> None:
    budget = Spending(per_year=1.0, level=0.01, left=0.02, spent=0.98, decisions=80)
    rng = np.random.default_rng(5)
    wrong = 0
    for _ in range(RUNS):
        judged = made(rng, 0.9, HARD - 0.05).model_copy(update={"error_budget": budget})
        wrong += passed(evaluate_gates(POLICY, judged))
    assert wrong / RUNS <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / RUNS)


def parity(adapter: Sequence[float], server: Sequence[float], lost: int, won: int) -> EvalReport:
    """A report whose parity has these shares, a prompt each, and so many answers that lost or won their form on the server."""
    n = len(adapter)
    found = Parity(
        prompts=n, adapter_tokens=n, adapter_agree=n, adapter_shares=list(adapter), logprob_gap=0.0, server_tokens=n, server_agree=n,
        server_shares=list(server), valid_merged=n - won, valid_server=n - lost, valid_lost=lost, tokenizer_same=True, adapter_ms=1.0,
        merged_ms=1.0,
    )  # fmt: skip
    return report([]).model_copy(update={"parity": found})


def test_parity_fails_a_server_at_the_threshold_no_more_often_than_stated() -> None:
    # three things can go wrong, each just does not: both shares are at the threshold, and the form is lost and won alike
    gate, rng, n = Gate(metric="parity", at_least=0.9), np.random.default_rng(6), 100
    fails = 0
    for _ in range(RUNS):
        adapter, server = (rng.random((2, n)) < 0.9).astype(float).tolist()
        lost, won = rng.multinomial(n, [0.1, 0.1, 0.8])[:2]
        fails += evaluate_parity(gate, parity(adapter, server, int(lost), int(won))).verdict is Verdict.FAIL
    assert fails / RUNS <= ALPHA + NOISE


@pytest.mark.parametrize(
    ("adapter", "server", "lost"),
    [
        ([1.0] * 93 + [0.2] * 7, [1.0] * 96 + [0.0] * 4, 0),  # two shares must pass
        ([1.0] * 95 + [0.5] * 5, [1.0] * 82 + [0.2] * 18, 0),  # one of three ways to FAIL
        ([1.0] * 99 + [0.9], [1.0] * 100, 5),  # the form: 5 lost of 100 are blocked at 5 %, and FAIL at a third of it
    ],
)
def test_prompts_that_would_tell_tell_in_four_of_five_cases(adapter: list[float], server: list[float], lost: int) -> None:
    found = evaluate_parity(Gate(metric="parity", at_least=0.9), parity(adapter, server, lost, 0))
    assert (found.verdict, found.n) == (Verdict.NOT_ENOUGH_DATA, 100)
    assert found.rows_needed
    assert found.sentence.endswith("prompts would tell in 80% of cases")
    rng, told, n = np.random.default_rng(8), [], found.rows_needed
    for _ in range(300):
        rows, lost_now = rng.integers(0, 100, n), rng.binomial(n, lost / 100)
        shares = [[each[row] for row in rows] for each in (adapter, server)]
        worst = max(mean_p_value(each, 0.9) for each in shares)
        broken = min(mean_p_value([-share for share in each], -0.9, -1.0) for each in shares)
        p_form = binomtest(int(lost_now), int(lost_now), 0.5, alternative="greater").pvalue if lost_now else 1.0
        told.append((worst < ALPHA <= p_form) or min(broken, p_form) < ALPHA / 3)
    assert 0.75 <= np.mean(told) <= 0.88


def test_rows_that_would_tell_are_those_of_the_level_at_which_a_gate_can_fail() -> None:
    floor, other = Gate(metric="exact_match", at_least=0.8), Gate(metric="field_accuracy", at_least=0.1)
    below = [Score(id=f"r{n}", slice="golden", exact=n >= 12, fields=1.0, valid=True) for n in range(48)]  # 36 right of 48
    alone, together = evaluate_gates([floor], report(below))[0], evaluate_gates([floor, other], report(below))[0]
    assert alone.verdict is together.verdict is Verdict.NOT_ENOUGH_DATA
    assert alone.rows_needed is not None
    assert together.rows_needed is not None
    assert together.rows_needed > 1.1 * alone.rows_needed

    def told(n: int, alpha: float) -> float:
        right = np.arange(n + 1)
        return float(binom.pmf(right, n, 0.75)[binom.cdf(right, n, 0.8) < alpha].sum())

    assert 0.77 <= told(together.rows_needed, 0.025) <= 0.86
    assert told(alone.rows_needed, 0.025) < 0.75, "as FAIL of one of two gates is tested"
    above = [each.model_copy(update={"exact": n >= 7}) for n, each in enumerate(below)]
    assert evaluate_gates([floor, other], report(above))[0] == evaluate_gates([floor], report(above))[0], "PASS is at its own level"
