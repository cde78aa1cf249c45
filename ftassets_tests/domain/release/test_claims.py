"""A release claims what its report says."""

from ftassets.domain.evaluation.human_review import Given, Review
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.release.claims import claims
from ftassets_tests.domain.gates.reports import report, rows


def test_each_claim_changes_with_what_it_is_about() -> None:
    gate = Gate.model_validate({"metric": "exact_match", "better_than": "production"})
    found = report(rows([0.9] * 60), rows([0.1] * 60))
    made = claims(found, "d", None, evaluate_gates([gate], found))
    assert made["verdicts"] == {"exact_match_better": "PASS"}
    assert (made["compared_with"], made["report_digest"], made["review_digest"]) == ("production", "d", None)
    review = Review(report="d", run_id="run_id", given=(Given(by="anna", at=1.0, verdicts={"r0": True}),))
    assert len(claims(found, "d", review, ())["review_digest"]) == 64
    changed = {"base": "base_digest", "production": "compared_with", "dataset_commit": "dataset_commit", "golden_commit": "golden_commit"}
    for name, claim in (changed | {"policy_digest": "policy_digest", "run_id": "run_id"}).items():
        other = claims(found.model_copy(update={name: "other"}), "d", None, ())
        assert other[claim] == "other" != made[claim]
