"""The parity gate: what each verdict means and how often it is wrong."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import beta

from ftassets.domain.chat import Asked
from ftassets.domain.evaluation.answer_form import Text, ToolCall
from ftassets.domain.evaluation.parity import Agreement, Parity, ParityRow, parity_of
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.mean_bounds import mean_lower_bound

GATE = Gate(metric="parity", at_least=0.95)
CALL = '{"intent": "TurnOn"}'


def parity(adapter: list[tuple[int, int]], server: list[tuple[int, int]], served: str = CALL, **changes: Any) -> Parity:
    found = {"adapter": adapter, "server": server, "logprob_gap": 0.01, "tokenizer_same": True, "adapter_ms": 30.0, "merged_ms": 20.0}
    rows = [ParityRow(asked=Asked.of("p"), merged=CALL, server=served)] * len(adapter)
    return parity_of(Agreement(**{**found, **changes}), rows, ToolCall(), tokenizer_as_published=True)


def judged(found: Parity | None, gate: Gate = GATE) -> GateResult:
    fixed: dict[str, Any] = {name: name for name in ("loop", "run_id", "candidate", "production", "base")}
    fixed |= {name: name for name in ("dataset_commit", "golden_commit", "policy_digest")}
    report = EvalReport(**fixed, production_is_base=False, generation={}, scores={}, latency_ms={}, answers={}, parity=found)
    return evaluate_gates([gate], report)[0]


def test_forms_that_agree_pass_and_the_tax_of_an_adapter_is_told() -> None:
    result = judged(parity([(9, 9)] * 100, [(8, 8)] * 100))
    assert result.verdict is Verdict.PASS
    assert "1.50 times as long" in result.sentence
    assert result.n == 100


def test_few_prompts_prove_little() -> None:
    result = judged(parity([(9, 9)] * 30, [(8, 8)] * 30))
    assert result.verdict is Verdict.NOT_ENOUGH_DATA
    assert result.rows_needed is not None
    enough = [(9, 9)] * result.rows_needed
    assert judged(parity(enough, enough)).verdict is Verdict.PASS


@pytest.mark.parametrize("side", ["adapter", "server"])
def test_one_side_that_differs_fails(side: str) -> None:
    same, other = [(9, 9)] * 100, [(9, 9)] * 88 + [(0, 9)] * 12
    assert judged(parity(other, same) if side == "adapter" else parity(same, other)).verdict is Verdict.FAIL


def test_another_tokenizer_fails_whatever_agrees() -> None:
    result = judged(parity([(9, 9)] * 100, [(8, 8)] * 100, tokenizer_same=False))
    assert result.verdict is Verdict.FAIL
    assert "chat template" in result.sentence


def test_a_server_that_loses_the_form_fails_though_tokens_agree() -> None:
    result = judged(parity([(9, 9)] * 100, [(80, 81)] * 100, served=CALL[:-1]))
    assert result.verdict is Verdict.FAIL
    assert "0 answers have it, 100 of the merged copy" in result.sentence


def test_a_form_lost_within_what_sampling_allows_does_not_fail() -> None:
    found = parity([(9, 9)] * 100, [(9, 9)] * 100).model_copy(update={"valid_merged": 99, "valid_server": 97, "valid_lost": 3})
    assert judged(found).verdict is Verdict.PASS
    assert judged(found.model_copy(update={"valid_server": 91, "valid_lost": 8})).verdict is Verdict.FAIL


def test_what_was_not_measured_is_not_enough_data() -> None:
    assert judged(None).verdict is Verdict.NOT_ENOUGH_DATA
    assert judged(parity([], [])).verdict is Verdict.NOT_ENOUGH_DATA


def test_results_about_other_rows_are_refused() -> None:
    found = Agreement(adapter=[(1, 1)], server=[], logprob_gap=None, tokenizer_same=True, adapter_ms=1, merged_ms=1)
    with pytest.raises(ValueError, match="1 prompts were compared"):
        parity_of(found, [ParityRow(asked=Asked.of("p"), merged="", server="")], Text(), True)


# The bound


@pytest.mark.parametrize(("good", "n"), [(100, 100), (97, 100), (20, 40), (1, 10)])
def test_the_bound_of_right_and_wrong_is_that_of_clopper_and_pearson(good: int, n: int) -> None:
    assert mean_lower_bound([1.0] * good + [0.0] * (n - good), 0.95) == pytest.approx(beta.ppf(0.05, good, n - good + 1), abs=0.003)


def test_no_share_proves_nothing() -> None:
    assert mean_lower_bound([], 0.95) == 0.0
    assert mean_lower_bound([0.0] * 50, 0.95) == 0.0


def test_shares_that_vary_little_give_a_closer_bound_than_the_same_mean_of_right_and_wrong() -> None:
    assert mean_lower_bound([0.9] * 100, 0.95) > mean_lower_bound([1.0] * 90 + [0.0] * 10, 0.95) + 0.02


@pytest.mark.parametrize("kind", ["all or nothing", "half lost", "one in four lost"])
def test_a_server_below_the_threshold_seldom_passes(kind: str) -> None:
    rng = np.random.default_rng(5)
    loss = {"all or nothing": 1.0, "half lost": 0.5, "one in four lost": 0.25}[kind]
    runs, n = 400, 100
    shares = 1 - loss * (rng.random((runs, n)) < 0.05 / loss)  # the mean is exactly what the gate asks for
    assert sum(mean_lower_bound(row, 0.95) >= 0.95 for row in shares) / runs <= 0.065
