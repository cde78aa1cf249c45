import numpy as np
import pytest
from pydantic import ValidationError

from ftassets.domain.evaluation.forgetting import Forgetting
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets_tests.domain.gates.reports import report


def measured(**kl: list[float]) -> EvalReport:
    found = Forgetting(file="x", kl=kl, why={"production": "its weights are not here"} if "production" not in kl else {})
    return report([]).model_copy(update={"forgetting": found})


def verdict(found: EvalReport, metric: str = "kl_base", at_most: float = 0.3) -> GateResult:
    [result] = evaluate_gates([Gate(metric=metric, at_most=at_most)], found)
    return result


def test_near_passes_far_fails_and_between_is_not_known() -> None:
    near, far, between = (verdict(measured(base=[level] * 64)) for level in (0.05, 1.0, 0.28))
    assert [each.verdict for each in (near, far, between)] == [Verdict.PASS, Verdict.FAIL, Verdict.NOT_ENOUGH_DATA]
    assert near.sentence.startswith("0.050 nats a token from the base on 64 general prompts, 95 % upper bound 0.1")
    assert near.bound is not None
    assert near.fail_bound is not None
    assert near.fail_bound < 0.05 < near.bound


def test_the_upper_bound_misses_a_mean_of_rare_large_values_in_at_most_the_stated_share() -> None:
    rng = np.random.default_rng(1)
    passes = sum(verdict(measured(base=list(np.where(rng.random(64) < 0.15, 2.0, 0.0)))).verdict is Verdict.PASS for _ in range(300))
    assert passes / 300 <= 0.08  # 5 % and three standard errors of 300 draws


def test_what_lies_above_the_clip_counts_as_it_and_is_said() -> None:
    found = verdict(measured(base=[0.0] * 63 + [50.0]))
    assert found.value == pytest.approx(2 / 64)
    assert "1 of them above 2 counted as that" in found.sentence


def test_what_was_not_measured_promotes_nothing_and_says_why() -> None:
    missing = verdict(measured(base=[0.0] * 64), "kl_production")
    assert (missing.verdict, missing.sentence) == (
        Verdict.NOT_ENOUGH_DATA,
        "the divergence was not measured: production: its weights are not here",
    )
    assert "materialize eval_report again" in verdict(report([])).sentence


def test_it_is_compared_with_a_limit_only_and_over_all_prompts() -> None:
    for settings in ({"no_worse_than": "production", "margin": 0.1}, {"at_least": 0.1}, {"at_most": 0.1, "slice": "hard"}):
        with pytest.raises(ValidationError, match="kl_base is compared"):
            Gate(metric="kl_base", **settings)
