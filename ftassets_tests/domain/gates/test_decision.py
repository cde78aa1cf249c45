"""Stored verdicts come out the same from their policy, and with the review of then."""

import pytest

from ftassets.domain.canonical import canonical_json, digest_of
from ftassets.domain.evaluation.human_review import Given, Review
from ftassets.domain.gates.decision import GateDecision, comparable, decided_again, equal_results, of_then
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.errors import InvalidInput
from ftassets_tests.domain.gates.reports import report, rows

GATES = [
    Gate.model_validate({"metric": "exact_match", "better_than": "production"}),
    Gate.model_validate({"metric": "rouge.rougeL", "no_worse_than": "production", "margin": 0.1}),
]
POLICY = {"gates": [gate.model_dump(mode="json") for gate in GATES]}
REPORT = report(rows([0.9] * 60 + [0.1] * 20), rows([0.4] * 80)).model_copy(update={"policy_digest": digest_of(POLICY)})


def test_the_verdicts_of_a_stored_decision_come_out_byte_for_byte() -> None:
    results = evaluate_gates(GATES, REPORT)
    made = GateDecision(loop="l", report="r" * 64, at=1.0, reviews=0, policy=POLICY, results=tuple(results))
    stored = GateDecision.parse(canonical_json(made.document()))
    assert canonical_json(comparable(decided_again(stored, REPORT, None))) == canonical_json(comparable(stored.results))
    worse = REPORT.model_copy(update={"scores": {**REPORT.scores, "candidate": rows([0.1] * 80)}})
    assert comparable(decided_again(stored, worse, None)) != comparable(stored.results)


def test_the_last_digits_of_a_bound_make_no_other_verdict() -> None:
    [before] = comparable(evaluate_gates(GATES[1:], REPORT))
    assert equal_results([before], [{**before, "bound": before["bound"] * (1 + 1e-12)}])
    assert not equal_results([before], [{**before, "bound": before["bound"] + 1e-4}])
    assert not equal_results([before], [{**before, "verdict": "FAIL"}])
    assert not equal_results([before], [before, before])
    assert not equal_results([before], [{name: value for name, value in before.items() if name != "bound"}])


def test_another_policy_than_that_of_the_report_is_refused() -> None:
    other = GateDecision(loop="l", report="r" * 64, at=1.0, reviews=0, policy={"gates": POLICY["gates"][:1]}, results=())
    with pytest.raises(InvalidInput, match="not the one that the report was made for"):
        decided_again(other, REPORT, None)


def test_later_reviews_do_not_count() -> None:
    given = tuple(Given(by="anna", at=float(n), verdicts={f"g{n}": True}) for n in range(3))
    review = Review(report="r", run_id="run", given=given)
    then = of_then(review, 2)
    assert then is not None
    assert then.given == given[:2]
    assert of_then(review, 0) is of_then(None, 0) is None
    with pytest.raises(InvalidInput, match="had 4 entries and has 3 now"):
        of_then(review, 4)
