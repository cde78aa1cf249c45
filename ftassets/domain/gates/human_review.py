"""People found a sample of the candidate's answers good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from ftassets.domain.agreement import agreeing, krippendorff
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.independent_units import one_of_each
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, verdict_of
from ftassets.domain.sequential_share import decided_after, more_good, sequential_bounds
from ftassets.wording import amount

if TYPE_CHECKING:
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue()  # whether all who saw an answer find it good


def review_sample(gate: "Gate", report: EvalReport, digest: str) -> list[str]:
    """Ids of the rows to review, one of a conversation. They depend on the report's digest, so they are unknown before it is written."""
    rows = one_of_each(report.rows("candidate", gate.slice))
    return fixed_sample([score.id for score in rows], gate.sample, seed=int(digest[:16], 16))


def evaluate_human_review(gate: "Gate", report: EvalReport, review: Review | None) -> GateResult:
    """The verdict of a human_review gate, at any time at which reviewers stop.

    Answers count in the order of the sample up to the first one without a review: an order that no reviewer chose. Both bounds hold
    for all these times together (see `sequential_share`), and a verdict that was reached stays; one of both directions is FAIL. Bounds
    that contradict each other, which a fair sample hardly ever gives, pass nothing.
    """
    threshold = gate.at_least or 0.0
    how = f"ftassets review export {report.loop} --out review.csv, then ftassets review import {report.loop} review.csv --name NAME"
    if review is None or review.run_id != report.run_id:
        what = "no person has reviewed a sample" if review is None else "the review is of another report"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"{what}: {how}")
    sample = review_sample(gate, report, review.report)
    if not sample:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"no golden row in slice {gate.slice!r}")
    progress = progress_of(gate, sample, review.good)
    seen, most = progress.seen, len(sample)
    if not seen:
        text = f"the first of {amount(most, 'answer')} is not reviewed{_out_of_order(progress)}: {how}"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, text)
    lower, upper = progress.bounds
    if progress.contradictory:
        found = (
            f": one part of the sample proves a share of at least {lower:.3f}, another one of at most {upper:.3f}. By chance that happens "
            f"in less than {2 * (100 - 100 * gate.confidence):g} % of samples: what reviewers call good has probably changed on the way"
        )
    else:
        lower = max(lower, threshold) if progress.good_after else min(lower, threshold)  # the grid of the bounds is coarser than the test
        found = (
            f", which excludes more than {100 * (1 - lower):.1f} % bad ones at {100 * gate.confidence:g} %: lower bound of the share "
            f"{lower:.3f}, upper {upper:.3f}, whenever reviewers stop"
        )
    text = (
        f"{sum(seen)} of {amount(len(seen), 'answer is', 'answers are')} good to all who saw "
        f"them ({', '.join(review.people)}){found}; needs a lower bound above "
        f"{threshold:.3f}; {progress.sentence}{_out_of_order(progress)}{_agreement(sample, review)}"
    )
    lower, upper = sorted((lower, upper))
    if progress.verdict is Verdict.NOT_ENOUGH_DATA and progress.more_good:
        text += f"; {how}"
    return GateResult.of(gate, progress.verdict, sum(seen) / len(seen), lower, threshold, len(seen), text, fail_bound=upper)


@dataclass(frozen=True)
class Progress:
    """How far a sample is reviewed, and what that decides.

    `seen`: good or not, in the order of the sample up to the first answer without a review. `later`: answers reviewed after that one.
    `good_after`, `bad_after`: the number of answers after which the share is proved to be above, or below, the gate's; None if it is not.
    `more_good`: how many more answers pass the gate if all are good; None if the sample is too small for that. `bounds`: of the share,
    lower and upper; each is the best one of all times so far.
    """

    seen: list[bool]
    most: int
    later: int
    good_after: int | None
    bad_after: int | None
    more_good: int | None
    bounds: tuple[float, float]

    @property
    def contradictory(self) -> bool:
        """Whether no share is in both bounds."""
        return self.bounds[0] > self.bounds[1]

    @property
    def verdict(self) -> Verdict:
        """FAIL also where answers proved both: reviewers continued after a PASS, and found many bad ones."""
        return verdict_of(self.good_after is not None and self.bad_after is None and not self.contradictory, self.bad_after is not None)

    @property
    def sentence(self) -> str:
        """Whether reviewers may stop, or what would decide."""
        left = self.most - len(self.seen)
        if self.contradictory and self.verdict is Verdict.NOT_ENOUGH_DATA:
            return "this sample decides nothing: materialize eval_report again, which draws another one"
        if self.verdict is not Verdict.NOT_ENOUGH_DATA:
            after = self.bad_after or self.good_after
            return f"decided: {self.verdict.value} after {after} of {amount(self.most, 'answer')}"
        if self.more_good is None:
            rest = f", even if the other {left} are good" if left else ""
            return f"the sample of {self.most} can no longer pass{rest}"
        return f"{self.more_good} more good ones would decide, {left} are left"


def progress_of(gate: "Gate", sample: Sequence[str], good: Mapping[str, bool]) -> Progress:
    """How far a gate's sample is reviewed; `good` by row id."""
    seen = [good[name] for name in takewhile(good.__contains__, sample)]
    most, limit = len(sample), gate.at_least or 0.0
    bad = [not each for each in seen]
    return Progress(
        seen=seen,
        most=most,
        later=sum(name in good for name in sample) - len(seen),
        good_after=decided_after(seen, most, limit, gate.confidence),
        bad_after=decided_after(bad, most, 1 - limit, gate.confidence),
        more_good=more_good(seen, most, limit, gate.confidence),
        bounds=sequential_bounds(seen, most, gate.confidence),
    )


def _out_of_order(progress: Progress) -> str:
    return f"; {progress.later} more are reviewed and count once those before them are" if progress.later else ""


def _agreement(sample: Sequence[str], review: Review) -> str:
    """How far reviewers agree, of the rows that several of them saw."""
    rows = [list(by.values()) for name, by in review.words.items() if name in set(sample) and len(by) > 1]
    same, pairs = agreeing(rows)
    if not pairs:
        return ""
    text = f"; reviewers agree in {same} of {amount(pairs, 'pair')} of reviews"
    if (found := krippendorff(rows)) is None:
        return f"{text}, all of them the same word"
    return f"{text}, Krippendorff's alpha {found[0]:.2f} (95 % interval {found[1]:.2f} to {found[2]:.2f})"


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "how many answers people find good is not known before the first report"
