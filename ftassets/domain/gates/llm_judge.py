"""A calibrated judge prefers the candidate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from ftassets.domain.evaluation.llm_judge import FEWEST_PAIRS, Calibration, PairwiseScore, too_many_missing
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.inputs import some
from ftassets.domain.gates.prediction_powered import Judged, judged_bounds, labels_to_halve, rows_to_decide, rows_to_halve, weight_of
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, about, rows_to_tell, verdict_of
from ftassets.domain.power import POWER

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None)  # a pairwise score, from -1 for production to 1 for the candidate
_AGAIN = "materialize eval_report again"


def llm_judge_sample(gate: "Gate", ids: Iterable[str]) -> list[str]:
    """The rows, of those in the gate's slice, that its judge is asked about: the same ones each time."""
    return fixed_sample(ids, gate.sample)


def evaluate_llm_judge(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a judge gate: the bounds of what people would prefer on average, from -1 for production to 1 for the candidate.

    They follow from the judge's choices on all rows and people's on some (see `prediction_powered`). A judge that is not proved to agree
    with people enough decides nothing: FAIL if it is proved that it does not, else not enough data.
    """
    threshold = 0.0 if gate.better_than else -(gate.margin or 0.0)

    def undecided(text: str, n: int = 0) -> GateResult:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, n, text)

    calibration = report.llm_judge_calibration
    if calibration is None:
        return undecided(f"the judge was not asked: {_AGAIN}")
    if calibration.problem or calibration.kappa is None:
        return undecided(f"the judge is not calibrated against people: {calibration.problem}")
    if not calibration.choices:
        return undecided(f"the report lacks the judge's choices on labelled pairs, an earlier release made it: {_AGAIN}")
    low, high = calibration.interval(gate.confidence)
    if high < calibration.min_kappa:
        text = f"the judge decides nothing: {_agreement(calibration, gate)}, at least {calibration.min_kappa:.2f} is needed"
        return GateResult.of(gate, Verdict.FAIL, None, None, threshold, 0, text)
    if low < calibration.min_kappa:
        needed = rows_to_tell(calibration.n, calibration.kappa, calibration.kappa, low, calibration.min_kappa, gate.confidence)
        more = f": about {about(needed)} labelled pairs would tell in {POWER:.0%} of cases" if needed else ""
        return undecided(f"{_agreement(calibration, gate)}, so that it is open if it reaches {calibration.min_kappa:.2f}{more}")

    sample, found, judged = _judged_rows(gate, report)
    if not sample:
        return undecided(f"no golden row in slice {gate.slice!r}")
    missing = len(sample) - len(judged)
    if too_many_missing(missing, len(sample)):
        reasons = Counter(found[name].reason if name in found else "not asked" for name in sample).most_common()
        why = next(reason for reason, _ in reasons if reason)
        return undecided(f"{missing} of {len(sample)} rows got no judgement, most often: {why}; then {_AGAIN}", len(judged))
    return _decide(gate, judged, calibration, threshold, f"{_about(judged, missing)}; {_agreement(calibration, gate)}")


def choices_of(gate: "Gate", report: EvalReport) -> Judged | None:
    """The choices that the gate's verdict rests on; None if no row was judged, or no label is known."""
    _, _, judged = _judged_rows(gate, report)
    calibration = report.llm_judge_calibration
    return judged_of(judged, calibration) if judged and calibration and calibration.choices else None


def _judged_rows(gate: "Gate", report: EvalReport) -> tuple[list[str], dict[str, PairwiseScore], list[PairwiseScore]]:
    """Ids of the gate's sample, all choices by row id, and the choices of the sample, in its order, that there are."""
    sample = llm_judge_sample(gate, [score.id for score in report.rows("candidate", gate.slice)])
    found = {each.id: each for each in report.pairwise_scores}
    return sample, found, [found[name] for name in sample if name in found and found[name].value is not None]


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "how many answers the judge prefers is not known before the first report"


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop has no judge to ask, None when it has."""
    text = "an llm_judge gate needs `llm_judge`: url, model, and labels that show how far it agrees with people"
    return text if loop.llm_judge is None else None


def judged_of(scores: Sequence[PairwiseScore], calibration: Calibration) -> Judged:
    """The choices that the estimate rests on: people's labels on these very answers if there are enough, else those on other pairs.

    The scores are in the order of the sample, which does not depend on answers. Labels on these answers count up to the first row
    without one, so that people cannot choose the rows that they label. How much the judge's choices weigh follows from the other pairs.
    """
    differing = [each for each in scores if not each.same]
    labelled = list(takewhile(lambda each: each.people is not None, differing))
    others = [(each.judge, float(each.people)) for each in calibration.choices if not each.own]
    same = len(scores) - len(differing)
    if len(labelled) < FEWEST_PAIRS:
        pairs = tuple((each.judge, float(each.people)) for each in calibration.choices)
        return Judged(tuple(each.value or 0.0 for each in differing), pairs, own=False, same=same)
    rest = tuple(each.value or 0.0 for each in differing[len(labelled) :])
    pairs = tuple((each.value or 0.0, float(each.people or 0)) for each in labelled)
    return Judged(rest, pairs, own=True, same=same, weight=weight_of(others, len(pairs), len(rest)))


def _decide(gate: "Gate", scores: Sequence[PairwiseScore], calibration: Calibration, threshold: float, about_rows: str) -> GateResult:
    judged = judged_of(scores, calibration)
    found = judged_bounds(judged, threshold, gate.confidence)
    alpha = 1 - gate.confidence
    verdict = verdict_of(found.p_above < alpha, found.p_below < alpha)
    whose = "of these answers" if judged.own else "of other pairs"
    text = (
        f"{about_rows}; by {len(judged.labelled)} labels {whose} people would prefer the candidate by {found.value:+.3f}, "
        f"{100 * gate.confidence:g} % lower bound {found.lower:+.3f}, upper {found.upper:+.3f}, needs a lower bound above {threshold:+.3f}"
    )
    text += f"; {halving(judged, gate.confidence)}" + ("" if judged.own else _unlike(scores, calibration))
    needed = rows_to_decide(judged, threshold, gate.confidence) if verdict is Verdict.NOT_ENOUGH_DATA else None
    return GateResult.of(
        gate, verdict, found.value, found.lower, threshold, judged.n, text, p_value=found.p_above if gate.better_than else None,
        fail_bound=found.upper, rows_needed=needed, unit="judged rows",
    )  # fmt: skip


def halving(judged: Judged, confidence: float) -> str:
    """What would halve the interval: labels if they do, else rows that the judge sees."""
    if labels := labels_to_halve(judged, confidence):
        return f"about {about(labels)} labels would halve the interval"
    if rows := rows_to_halve(judged, confidence):
        return f"about {about(rows)} judged rows would halve the interval, more labels alone would not"
    return "halving the interval takes more labels and more judged rows"


def _unlike(scores: Sequence[PairwiseScore], calibration: Calibration) -> str:
    """How many rows are of a slice that no labelled pair names: there, agreement with people is assumed."""
    if not calibration.slices:
        return "; labels name no slices, so that nothing shows if they are like these rows"
    new = Counter(each.slice for each in scores if not each.same and each.slice not in calibration.slices)
    if not new:
        return ""
    return f"; {new.total()} of {len(scores)} rows are of slices without a label: {some(sorted(new))}"


def _about(judged: Sequence[PairwiseScore], missing: int) -> str:
    wins, losses = sum((each.value or 0) > 0 for each in judged), sum((each.value or 0) < 0 for each in judged)
    contradicted = sum(each.contradictions > 0 for each in judged)
    return (
        f"the judge prefers the candidate on {wins} and production on {losses} of {len(judged)} rows "
        f"(it contradicted itself on {contradicted}, and gave no judgement on {missing} more)"
    )


def _agreement(calibration: Calibration, gate: "Gate") -> str:
    low, high = calibration.interval(gate.confidence)
    assert calibration.kappa is not None
    bounds = f"{100 * gate.confidence:g} % lower bound {low:.2f}, upper {high:.2f}"
    return f"its kappa with people is {calibration.kappa:.2f} ({bounds}) on {calibration.n} pairs"
