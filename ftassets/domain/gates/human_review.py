"""People found a sample of the candidate's answers good."""

from typing import TYPE_CHECKING

from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.statistics import share_lower_bound, share_upper_bound

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()  # whether all who saw an answer find it good


def review_sample(gate: "Gate", report: EvalReport, digest: str) -> list[str]:
    """Ids of the rows to review. They depend on the digest of the report, so they are unknown before it is written."""
    return fixed_sample([score.id for score in report.rows("candidate", gate.slice)], gate.sample, seed=int(digest[:16], 16))


def evaluate_human_review(gate: "Gate", report: EvalReport, review: Review | None) -> GateResult:
    """The verdict of a human_review gate: the exact lower bound of the share of good answers against `at_least`."""
    threshold = gate.at_least or 0.0
    how = f"ftassets review export {report.loop} --out review.csv, then ftassets review import {report.loop} review.csv --name NAME"
    if review is None or review.run_id != report.run_id:
        what = "no person has reviewed a sample" if review is None else "the review is of another report"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"{what}: {how}")
    sample, good = review_sample(gate, report, review.report), review.good
    if not sample:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"no golden row in slice {gate.slice!r}")
    seen = [good[name] for name in sample if name in good]
    if len(seen) < len(sample):
        text = f"{len(sample) - len(seen)} of {len(sample)} answers are not reviewed: {how}"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, len(seen), text)
    value, bound, upper = (
        sum(seen) / len(seen),
        *(of(sum(seen), len(seen), gate.confidence) for of in (share_lower_bound, share_upper_bound)),
    )
    text = (
        f"{sum(seen)} of {len(seen)} answers are good to all who saw them ({', '.join(review.people)}), "
        f"{100 * gate.confidence:g} % lower bound of the share {bound:.3f}, upper {upper:.3f}, needs a lower bound above {threshold:.3f}"
    )
    verdict = verdict_of(bound > threshold, upper < threshold)
    return GateResult.of(gate, verdict, value, bound, threshold, len(seen), text, fail_bound=upper)


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "how many answers people find good is not known before the first report"
