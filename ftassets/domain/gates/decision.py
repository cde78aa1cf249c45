"""The verdicts of a loop's gates on an eval report, stored with the policy they belong to, so that they can be made again."""

from collections.abc import Mapping, Sequence
from math import isclose
from typing import Any, ClassVar

from pydantic import ConfigDict

from ftassets.domain.canonical import digest_of, parse_json
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.formats import Stored
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import RULE, evaluate_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult
from ftassets.errors import InvalidInput

_ROUNDING = 1e-6  # bounds are searched for to a hundredth of it


class GateDecision(Stored):
    """Verdicts on the eval report `report` (its digest), made at `at` (epoch seconds) by gate rule `rule`.

    `policy` is what the report's `policy_digest` is the digest of. `reviews` is how many entries the human review had then: later ones
    are not part of this decision.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    KIND: ClassVar[str] = "gate_decision"

    loop: str
    report: str
    at: float
    rule: int = RULE
    reviews: int
    policy: dict[str, Any]
    results: tuple[GateResult, ...]


def gates_of(policy: Mapping[str, Any], digest: str) -> list[Gate]:
    """The gates of a stored policy. Raises InvalidInput if it has another digest, or gates that this release does not know."""
    if digest_of(dict(policy)) != digest:
        raise InvalidInput("the policy stored with the verdicts is not the one that the report was made for")
    return [Gate.model_validate(gate) for gate in policy["gates"]]


def of_then(review: Review | None, entries: int) -> Review | None:
    """A human review as it was when it had so many entries. Raises InvalidInput if it has fewer now."""
    there = len(review.given) if review else 0
    if there < entries:
        raise InvalidInput(f"the human review had {entries} entries and has {there} now: restore it from a backup")
    return review.model_copy(update={"given": review.given[:entries]}) if review and entries else None


def decided_again(decision: GateDecision, report: EvalReport, review: Review | None) -> list[GateResult]:
    """The verdicts by the rule of this release, from the stored policy. Raises ValueError if the evidence is not what it was."""
    return evaluate_gates(gates_of(decision.policy, report.policy_digest), report, of_then(review, decision.reviews))


def comparable(results: Sequence[GateResult]) -> list[Any]:
    """Results as plain JSON, as they are stored."""
    return [parse_json(result.model_dump_json()) for result in results]


def equal_results(stored: Any, now: Any) -> bool:
    """Whether `comparable` results are equal but for rounding: the last digits of a bound depend on processor and release."""
    if isinstance(stored, dict) and isinstance(now, dict):
        return stored.keys() == now.keys() and all(equal_results(stored[name], now[name]) for name in stored)
    if isinstance(stored, list) and isinstance(now, list):
        return len(stored) == len(now) and all(map(equal_results, stored, now))
    if all(isinstance(each, int | float) and not isinstance(each, bool) for each in (stored, now)):
        return isclose(stored, now, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(stored == now)
