"""Named rules: what their usual reading says, and what can be said surely."""

import numpy as np
import pytest

from ftassets.domain.gates.result import Verdict
from ftassets.domain.presets import RULES, judge_rule, naive


def test_the_rules_are_the_known_ones() -> None:
    assert [rule.statement for rule in RULES.values()] == [
        "ROUGE-L > production + 0.02", "BERTScore F1 > 0.88", "task accuracy > production", "p95 < 2 s", "F1 >= production + 0.05",
    ]  # fmt: skip
    assert all(name == rule.name for name, rule in RULES.items())


@pytest.mark.parametrize(
    ("name", "candidate", "production", "says"),
    [
        ("rouge_l", [0.52, 0.62], [0.5, 0.6], False),  # exactly two points
        ("rouge_l", [0.53, 0.62], [0.5, 0.6], True),
        ("bertscore_f1", [0.88, 0.88], [0.1, 0.1], False),
        ("bertscore_f1", [0.89, 0.88], [0.99, 0.99], True),
        ("task_accuracy", [1, 0, 1], [1, 1, 0], False),
        ("task_accuracy", [1, 1, 1], [1, 1, 0], True),
        ("latency", [1900.0] * 99 + [9000.0], [1.0] * 100, True),
        ("latency", [1900.0] * 90 + [9000.0] * 10, [9999.0] * 100, False),
        ("f1", [0.65, 0.75], [0.6, 0.7], True),  # exactly five points
        ("f1", [0.64, 0.75], [0.6, 0.7], False),
    ],
)
def test_usual_readings(name: str, candidate: list[float], production: list[float], says: bool) -> None:
    assert naive(RULES[name], candidate, production) is says


@pytest.mark.parametrize("name", RULES)
def test_without_scores_nothing_passes(name: str) -> None:
    result = judge_rule(RULES[name], [], [])
    assert (result.naive, result.verdict, result.n) == (False, Verdict.NOT_ENOUGH_DATA, 0)


def test_a_few_rows_of_luck_pass_only_the_usual_reading() -> None:
    lucky: dict[str, tuple[list[float], list[float]]] = {
        "rouge_l": ([0.9, 0.3, 0.6], [0.3, 0.6, 0.5]),
        "bertscore_f1": ([0.99, 0.80, 0.95], []),
        "task_accuracy": ([1, 1, 1, 0], [0, 1, 1, 0]),
        "f1": ([0.9, 0.3, 0.6], [0.3, 0.6, 0.5]),
        "latency": ([100.0] * 10, []),
    }
    for name, (candidate, production) in lucky.items():
        result = judge_rule(RULES[name], candidate, production)
        assert (result.naive, result.verdict) == (True, Verdict.NOT_ENOUGH_DATA), name


def test_a_sure_gain_passes_both() -> None:
    rng = np.random.default_rng(0)
    production = rng.uniform(0.3, 0.6, 400)
    better = {"rouge_l": production + 0.1, "f1": production + 0.1, "bertscore_f1": np.full(400, 0.95)}
    better |= {"latency": rng.lognormal(6, 0.3, 400), "task_accuracy": np.ones(400)}
    for name, candidate in better.items():
        reference = np.repeat([0.0, 1.0], [40, 360]) if name == "task_accuracy" else production
        result = judge_rule(RULES[name], candidate.tolist(), reference.tolist())
        assert (result.naive, result.verdict) == (True, Verdict.PASS), name


def test_a_worse_candidate_fails_both() -> None:
    rng = np.random.default_rng(0)
    worse = {"rouge_l": (0.4, 0.5), "f1": (0.4, 0.5), "bertscore_f1": (0.8, 0.1), "task_accuracy": (0.0, 1.0), "latency": (9000.0, 1.0)}
    for name, (candidate, production) in worse.items():
        noise = rng.uniform(0, 0.01, 100) if name != "task_accuracy" else np.zeros(100)
        result = judge_rule(RULES[name], (candidate + noise).tolist(), [production] * 100)
        assert (result.naive, result.verdict) == (False, Verdict.FAIL), name


@pytest.mark.parametrize("name", ["rouge_l", "f1", "task_accuracy"])
def test_an_equal_candidate_seldom_passes_and_the_usual_reading_is_a_lottery(name: str) -> None:
    rng = np.random.default_rng(7)
    verdicts, usual, runs = 0, 0, 500
    for _ in range(runs):
        candidate, production = rng.random((2, 50))
        if name == "task_accuracy":
            candidate, production = np.round(candidate), np.round(production)
        result = judge_rule(RULES[name], candidate.tolist(), production.tolist())
        verdicts += result.verdict is Verdict.PASS
        usual += result.naive
    assert 0 < verdicts / runs <= 0.075
    assert usual / runs > 0.15


@pytest.mark.parametrize("name", ["rouge_l", "task_accuracy", "f1"])
def test_other_numbers_of_rows_are_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="3 scores of the candidate, 2 of production"):
        judge_rule(RULES[name], [1.0, 1.0, 0.0], [1.0, 0.0])
