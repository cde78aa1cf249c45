"""What an attestation says of the eval report that it rests on."""

from collections.abc import Sequence
from typing import Any

from ftassets.domain.canonical import digest_of
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult


def claims(report: EvalReport, digest: str, review: Review | None, results: Sequence[GateResult]) -> dict[str, Any]:
    """The part of a release's predicate that follows from the report of this digest, its human review and its verdicts."""
    return {
        "base_digest": report.base,
        "dataset_commit": report.dataset_commit,
        "golden_commit": report.golden_commit,
        "policy_digest": report.policy_digest,
        "generation": report.generation,
        "compared_with": report.production,
        "report_digest": digest,
        "review_digest": review and digest_of(review.model_dump(mode="json")),
        "verdicts": {result.name: result.verdict.value for result in results},
        "run_id": report.run_id,
    }
