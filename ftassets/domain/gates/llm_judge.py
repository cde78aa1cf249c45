"""A calibrated judge prefers the candidate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING

from ftassets.domain.evaluation.llm_judge import FEWEST_PAIRS, Calibration, PairwiseScore, too_many_missing
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.independent_units import one_of_each
from ftassets.domain.gates.prediction_powered import (
    Judged,
    as_on_other_pairs,
    judged_bounds,
    labels_to_decide,
    labels_to_halve,
    rows_to_decide,
    rows_to_halve,
    weight_of,
)
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict, about, rows_to_tell, verdict_of
from ftassets.domain.power import POWER, ROWS_LIMIT
from ftassets.wording import amount

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

    They follow from the judge's choices on all rows and people's on some of them (see `prediction_powered`). Labels on other pairs of
    answers show how far the judge agrees with people, but not which model it favours here, or whom people prefer where it calls a tie: so
    labels on these answers are needed. A judge that is not proved to agree with people enough decides nothing: FAIL if it is proved that
    it does not, else not enough data.
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

    scores = _sampled(gate, report)
    if not scores:
        return undecided(f"no golden row in slice {gate.slice!r}")
    missing = [each.reason for each in scores if each.reason]
    if too_many_missing(len(missing), len(scores)):
        why = Counter(missing).most_common(1)[0][0]
        text = f"{len(missing)} of {amount(len(scores), 'row got', 'rows got')} no judgement, most often: {why}; then {_AGAIN}"
        return undecided(text, len(scores) - len(missing))
    return _decide(gate, report, scores, calibration, threshold)


def halving(gate: "Gate", report: EvalReport) -> str | None:
    """What would halve the interval of the gate's verdict, or which labels it needs; None if no row was judged."""
    scores, calibration = _sampled(gate, report), report.llm_judge_calibration
    if not report.pairwise_scores or not scores or calibration is None:
        return None
    judged = judged_of(scores, calibration)
    return _halving(judged, gate.confidence) if judged else _labels_wanted(scores)


def _sampled(gate: "Gate", report: EvalReport) -> list[PairwiseScore]:
    """The choice on each row of the gate's sample, in its order."""
    found = {each.id: each for each in report.pairwise_scores}
    rows = {score.id: score.slice for score in one_of_each(report.rows("candidate", gate.slice))}
    return [
        found.get(name) or PairwiseScore(id=name, slice=rows[name], value=None, reason="not asked") for name in llm_judge_sample(gate, rows)
    ]


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    text = f"it takes people's labels on at least {FEWEST_PAIRS} answers of a report, and what they say of them"
    return f"{text} is not known before the first report"


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop has no judge to ask, None when it has."""
    text = "an llm_judge gate needs `llm_judge`: url, model, and labels that show how far it agrees with people"
    return text if loop.llm_judge is None else None


def judged_of(scores: Sequence[PairwiseScore], calibration: Calibration) -> Judged | None:
    """The choices that the estimate rests on; None if too few of these answers have people's labels.

    The scores are in the order of the sample, which does not depend on answers. Labels count up to the first row without one, so that
    people cannot choose the rows that they label. A row without a judgement counts as a tie of the judge, which people correct as any
    other choice. How much the judge's choices weigh follows from labels on other pairs.
    """
    differing, labelled = _differing(scores), _labelled(scores)
    if len(labelled) < _labels_needed(scores):
        return None
    pairs = tuple((each.value or 0.0, float(each.people or 0)) for each in labelled)
    rest = tuple(each.value or 0.0 for each in differing[len(labelled) :])
    return Judged(rest, pairs, len(scores) - len(differing), weight_of(_others(calibration), len(pairs), len(rest)))


def _differing(scores: Sequence[PairwiseScore]) -> list[PairwiseScore]:
    return [each for each in scores if not each.same]


def _labelled(scores: Sequence[PairwiseScore]) -> list[PairwiseScore]:
    return list(takewhile(lambda each: each.people is not None, _differing(scores)))


def _labels_needed(scores: Sequence[PairwiseScore]) -> int:
    """Where fewer answers differ, labels on all of them are as good as any."""
    return min(FEWEST_PAIRS, len(_differing(scores)))


def _others(calibration: Calibration) -> list[tuple[float, float]]:
    return [(each.judge, float(each.people)) for each in calibration.choices if not each.own]


def _decide(gate: "Gate", report: EvalReport, scores: Sequence[PairwiseScore], calibration: Calibration, threshold: float) -> GateResult:
    text = f"{_about(scores)}; {_agreement(calibration, gate)}"
    judged = judged_of(scores, calibration)
    if judged is None:
        text += f"; {_labels_wanted(scores)}: ftassets review pairs {report.loop} --out pairs.jsonl"
        values, needed = [each.value or 0.0 for each in _differing(scores)], _labels_needed(scores)
        expected = as_on_other_pairs(values, _others(calibration), needed, len(scores) - len(values))
        if enough := labels_to_decide(expected, threshold, gate.confidence, needed):
            text += f". About {about(enough)} would tell in {POWER:.0%} of cases, if people follow the judge as on the other pairs"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, len(scores), text)
    found = judged_bounds(judged, threshold, gate.confidence)
    alpha = 1 - gate.confidence
    verdict = verdict_of(found.p_above < alpha, found.p_below < alpha)
    text += (
        f"; by people's labels on {len(judged.labelled)} of these answers they would prefer the candidate by {found.value:+.3f}, "
        f"{100 * gate.confidence:g} % lower bound {found.lower:+.3f}, upper {found.upper:+.3f}, "
        f"needs a lower bound above {threshold:+.3f}; {_halving(judged, gate.confidence)}"
    )
    more, unit = None, ""
    if verdict is Verdict.NOT_ENOUGH_DATA:
        more, unit = labels_to_decide(judged, threshold, gate.confidence), "labels on these answers"
    if verdict is Verdict.NOT_ENOUGH_DATA and more is None:
        more, unit = rows_to_decide(judged, threshold, gate.confidence), "rows, all of them labelled,"
    return GateResult.of(
        gate, verdict, found.value, found.lower, threshold, judged.n, text, p_value=found.p_above if gate.better_than else None,
        fail_bound=found.upper, rows_needed=more, unit=unit,
    )  # fmt: skip


def _labels_wanted(scores: Sequence[PairwiseScore]) -> str:
    """Why labels on other pairs are not enough, and how many are."""
    have, needed = len(_labelled(scores)), _labels_needed(scores)
    return (
        "labels on other pairs do not show which model the judge favours here: "
        f"{needed} of these {amount(len(_differing(scores)), 'pair')} of "
        f"answers need people's labels, from the top of the list, and {have} have one"
    )


def _halving(judged: Judged, confidence: float) -> str:
    """What would halve the interval: labels if they do, else rows."""
    if labels := labels_to_halve(judged, confidence):
        return f"about {about(labels)} labels would halve the interval"
    if rows := rows_to_halve(judged, confidence):
        return f"about {about(rows)} rows with labels on the same share of them would halve the interval, more labels alone would not"
    return f"no {ROWS_LIMIT:,} rows would halve the interval"


def _about(scores: Sequence[PairwiseScore]) -> str:
    wins, losses = sum((each.value or 0) > 0 for each in scores), sum((each.value or 0) < 0 for each in scores)
    contradicted, missing = sum(each.contradictions > 0 for each in scores), sum(each.value is None for each in scores)
    return (
        f"the judge prefers the candidate on {wins} and production on {losses} of {amount(len(scores), 'row')} "
        f"(it contradicted itself on {contradicted}, and gave no judgement on {missing})"
    )


def _agreement(calibration: Calibration, gate: "Gate") -> str:
    low, high = calibration.interval(gate.confidence)
    assert calibration.kappa is not None
    bounds = f"{100 * gate.confidence:g} % lower bound {low:.2f}, upper {high:.2f}"
    return f"its kappa with people is {calibration.kappa:.2f} ({bounds}) on {amount(calibration.n, 'pair')}"
