"""A calibrated judge prefers the candidate."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ftassets.domain.evaluation.llm_judge import Calibration, PairwiseScore, too_many_missing
from ftassets.domain.evaluation.metrics import RowValue
from ftassets.domain.evaluation.sampling import fixed_sample
from ftassets.domain.gates.evidence import mean_evidence, pairs_evidence
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import GateResult, Verdict
from ftassets.domain.statistics import Pairs

if TYPE_CHECKING:
    from ftassets.config.loop import LoopConfig
    from ftassets.domain.gates.gate import Gate

VALUE = RowValue(None)  # a pairwise score, from -1 for production to 1 for the candidate
_AGAIN = "materialize eval_report again"


def llm_judge_sample(gate: "Gate", ids: Iterable[str]) -> list[str]:
    """The rows, of those in the gate's slice, that its judge is asked about: the same ones each time."""
    return fixed_sample(ids, gate.sample)


def evaluate_llm_judge(gate: "Gate", report: EvalReport, _review: object = None) -> GateResult:
    """The verdict of a judge gate.

    With better_than a sign test on the rows that are no tie (exact binomial), with no_worse_than the bounds of the mean
    pairwise_score (Gaffke). A judge that agrees too little with people decides nothing, and too few judgements are not enough data.
    """
    threshold = 0.0 if gate.better_than else -(gate.margin or 0.0)
    calibration = report.llm_judge_calibration
    if calibration is None:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"the judge was not asked: {_AGAIN}")
    if calibration.problem or calibration.kappa is None:
        text = f"the judge is not calibrated against people: {calibration.problem}"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, text)
    if not calibration.trusted:
        text = f"the judge decides nothing: {_agreement(calibration)}, at least {calibration.min_kappa:.2f} is needed"
        return GateResult.of(gate, Verdict.FAIL, None, None, threshold, 0, text)

    sample = llm_judge_sample(gate, [score.id for score in report.rows("candidate", gate.slice)])
    if not sample:
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, 0, f"no golden row in slice {gate.slice!r}")
    found = {each.id: each for each in report.pairwise_scores}
    judged = [found[name] for name in sample if name in found and found[name].value is not None]
    missing = len(sample) - len(judged)
    if too_many_missing(missing, len(sample)):
        reasons = Counter(found[name].reason if name in found else "not asked" for name in sample).most_common()
        why = next(reason for reason, _ in reasons if reason)
        text = f"{missing} of {len(sample)} rows got no judgement, most often: {why}; then {_AGAIN}"
        return GateResult.of(gate, Verdict.NOT_ENOUGH_DATA, None, None, threshold, len(judged), text)
    return _decide(gate, judged, threshold, f"{_about(judged, missing)}; {_agreement(calibration)}")


def plan(gate: "Gate", effect: float, discordance: float, spread: float) -> str:
    """Why the number of rows that the gate needs cannot be planned."""
    return "how many answers the judge prefers is not known before the first report"


def objection(loop: "LoopConfig") -> str | None:
    """Why the loop has no judge to ask, None when it has."""
    text = "an llm_judge gate needs `llm_judge`: url, model, and labels that show how far it agrees with people"
    return text if loop.llm_judge is None else None


def _decide(gate: "Gate", judged: Sequence[PairwiseScore], threshold: float, about: str) -> GateResult:
    values = [each.value for each in judged if each.value is not None]
    pairs = Pairs(sum(value > 0 for value in values), sum(value < 0 for value in values), len(values))
    if gate.better_than:
        found = pairs_evidence(pairs, threshold, gate.confidence)
        text = f"{about}; exact sign test p = {found.p_value:.2g}, needs < {1 - gate.confidence:.2g}"
    else:
        found = mean_evidence(values, (-1.0, 1.0), threshold, gate.confidence)
        text = f"{about}; mean pairwise_score {found.value:+.3f}"
    text += f", {100 * gate.confidence:g} % lower bound {found.lower:+.3f}, upper {found.upper:+.3f}, "
    text += f"needs a lower bound above {threshold:+.3f}"
    return GateResult.of(
        gate, found.verdict, found.value, found.lower, threshold, pairs.n, text,
        p_value=found.p_value if gate.better_than else None, fail_bound=found.upper, rows_needed=found.rows_needed, unit="judged rows",
    )  # fmt: skip


def _about(judged: Sequence[PairwiseScore], missing: int) -> str:
    wins, losses = sum((each.value or 0) > 0 for each in judged), sum((each.value or 0) < 0 for each in judged)
    contradicted = sum(each.contradictions > 0 for each in judged)
    return (
        f"the judge prefers the candidate on {wins} and production on {losses} of {len(judged)} rows "
        f"(it contradicted itself on {contradicted}, and gave no judgement on {missing} more)"
    )


def _agreement(calibration: Calibration) -> str:
    assert calibration.kappa is not None
    interval = f"{calibration.kappa_low:.2f} to {calibration.kappa_high:.2f}"
    return f"its kappa with people is {calibration.kappa:.2f} ({interval}) on {calibration.n} pairs"
