"""Control tokens are counted in requests and dropped in answers."""

from ftassets.domain.dataset.control_tokens import ControlTokens
from ftassets.domain.dataset.curation.control_tokens import count_control_tokens
from ftassets.domain.dataset.curation.step import StepOutcome
from ftassets_tests.domain.dataset.curation.sample import LOOP, pool, row, talk


def test_requests_with_a_control_token_stay_and_answers_go() -> None:
    rows = [
        row(0, prompt="what does </s> mean"),
        row(1),
        talk(2, "a", "b</s>", "c"),
        row(3, prompt="<s>").model_copy(update={"completion": "x</s>"}),
        row(4, prompt="and <s>?"),
        row(5, prompt="<s>[INST] me [INST]").model_copy(update={"completion": "x[INST]"}),
        talk(6, "a", "[INST]", "c"),
    ]
    outcome = count_control_tokens(pool(rows, control_tokens=ControlTokens(("<s>", "</s>"), ("[INST]",))), LOOP)
    assert outcome.dropped == {3: "the answer holds the control token '</s>'"}
    assert outcome.counts == {
        "requests with </s>, read as text": 2, "requests with <s>, read as text": 2, "requests with [INST], read as text": 1,
    }  # fmt: skip
    assert outcome.examples == {
        "requests with </s>, read as text": "row r0000", "requests with <s>, read as text": "row r0004",
        "requests with [INST], read as text": "row r0005",
    }  # fmt: skip
    assert not outcome.changed


def test_without_a_tokenizer_the_step_says_that_it_did_not_look() -> None:
    assert count_control_tokens(pool([row(0)]), LOOP) == StepOutcome(skipped="the tokenizer of the base model is not on this machine")
    assert count_control_tokens(pool([row(0, prompt="</s>")], control_tokens=ControlTokens(())), LOOP) == StepOutcome()
