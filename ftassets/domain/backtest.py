"""What another policy would have decided on stored evidence. What was never measured is unknown, and never guessed.

Each decision is made by itself, in the situation that there was: see `LIMITS`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ftassets.config.loop import LoopConfig, Rollout
from ftassets.domain.drift.accumulation import EVIDENCE, with_evidence
from ftassets.domain.drift.alarms import WindowVerdict, alarms_in_a_row
from ftassets.domain.drift.budget import WINDOWS_PART, alarm_rate, evidence_limit
from ftassets.domain.drift.comparison import ALARMS, Comparison, DriftVerdict, Statistic, fixed_rule_verdict, verdict_of
from ftassets.domain.drift.sensitivity import PRESETS
from ftassets.domain.drift.verdict_again import evidence_of, statistics_of
from ftassets.domain.evaluation.human_review import Review
from ftassets.domain.gates.gate import Gate
from ftassets.domain.gates.policy import evaluate_gates
from ftassets.domain.gates.presets import single_gates
from ftassets.domain.gates.report import EvalReport
from ftassets.domain.gates.result import Verdict
from ftassets.domain.retrain import RetrainDecision, Situation, should_retrain
from ftassets.domain.rollout.guardrails import LAPSES
from ftassets.domain.rollout.look import RolloutLook, decided_again
from ftassets.domain.traffic.lapses import LIMITED
from ftassets.errors import InvalidInput

LIMITS = (
    "Each decision is made in the situation that there was: a policy that had decided otherwise before would have met another one.",
    "A version that this policy would have trained on another day does not exist, so nothing is known of its scores, answers and traffic.",
    "Retrain decisions are stored when their cause changes, and rollout evidence with each move: between them nothing is decided again.",
    "Windows, samples and references of drift reports are those that were measured; the loop file of now says what they were.",
)


class Unknown(InvalidInput):
    """The stored evidence does not say what the policy would have decided; the message says what was never measured."""


@dataclass(frozen=True)
class Backtested:
    """One decision: what was decided at a time (epoch seconds), and what the policy would have; `now` is None if `why` it is unknown."""

    kind: str
    at: float
    about: str
    was: str
    now: str | None
    why: str = ""

    @property
    def same(self) -> bool:
        """Whether the policy would have decided the same."""
        return self.now == self.was


def rate_of(policy: LoopConfig) -> float:
    """The false-alarm rate of one drift report by a policy's budget."""
    drift = policy.retrain_on.drift
    return alarm_rate(drift.false_alarms, drift.budget_reports, consecutive=drift.consecutive, part=WINDOWS_PART)


def drift_verdict(report: Mapping[str, Any], own: LoopConfig, policy: LoopConfig, thresholds: Mapping[str, float] | None) -> DriftVerdict:
    """The verdict on a stored drift report. `thresholds` are those of the reference's calibration at the policy's rate, by statistic.

    Raises Unknown if the policy compares other windows, or the thresholds are needed and not known.
    """
    mine, theirs = own.retrain_on.drift, policy.retrain_on.drift
    if different := [
        name for name in ("window", "sample", "min_sample", "reference_windows") if getattr(mine, name) != getattr(theirs, name)
    ]:
        raise Unknown(f"drift reports with another {' and '.join(different)} were never made")
    found = {each.name: each for each in statistics_of(report)}
    if not found:
        return DriftVerdict.NOT_ENOUGH_DATA
    if theirs.rule != "novelty":
        return fixed_rule_verdict(replace(found[theirs.rule], threshold=PRESETS[theirs.rule], informs_only=False))[0]
    same_rate = report["false_alarm_rate"] == rate_of(policy)
    if not same_rate and thresholds is None:
        raise Unknown("the reference that the report was compared with is not there, so thresholds at another rate are not known")
    single = tuple(
        Statistic(name, found[name].value, found[name].threshold if same_rate else (thresholds or {})[name], found[name].p_value)
        for name in ALARMS
        if name in found
    )
    comparison = Comparison(*verdict_of(single), single)
    evidence = evidence_of(report) if EVIDENCE in found else None
    if evidence is not None:
        limit = evidence_limit(theirs.false_alarms, theirs.budget_reports)
        comparison = with_evidence(comparison, evidence, limit)
    return comparison.verdict


def retrain_decision(
    situation: Situation, own: LoopConfig, policy: LoopConfig, windows: Sequence[WindowVerdict | None] | None
) -> RetrainDecision:
    """The decision in a stored situation. `windows` are verdicts by the policy before it, newest first, if they differ from those stored.

    Raises Unknown if the policy counts what was not measured.
    """
    drop = policy.retrain_on.quality_drop
    if drop is not None and drop != own.retrain_on.quality_drop and situation.quality is None:
        raise Unknown("retrain_on.quality_drop was not watched")
    if own.retrain_on.schedule != policy.retrain_on.schedule:
        if policy.retrain_on.schedule is not None:
            raise Unknown("when a retrain of another schedule falls due was not computed")
        situation = replace(situation, schedule_due_at=None)
    if own.dataset.production_window != policy.dataset.production_window:
        raise Unknown("labels of another dataset.production_window were not counted")
    if own.budget != policy.budget:
        raise Unknown("whether another budget would have been spent was not computed")
    if windows is not None and situation.alarms is not None:
        gap = policy.retrain_on.drift.longest_gap
        if None in windows:
            raise Unknown("a drift report before it is unknown")
        situation = replace(situation, alarms=alarms_in_a_row([each for each in windows if each], gap))
    return should_retrain(situation, policy)


def promoted(gates: Sequence[Gate], report: EvalReport, review: Review | None) -> bool:
    """Whether a report passes the gates. Raises Unknown if no gate fails and one is on what was never measured."""
    missing = {gate.name: why for gate in gates if (why := _unmeasured(gate, report, review))}
    known = [gate for gate in gates if gate.name not in missing]
    try:
        results = evaluate_gates(gates, report, review) if not missing else [evaluate_gates([gate], report, review)[0] for gate in known]
    except ValueError as error:
        raise Unknown(str(error)) from error
    if any(each.verdict is not Verdict.PASS for each in results):
        return False
    if missing:
        raise Unknown("; ".join(f"{name}: {why}" for name, why in missing.items()))
    return True


def _unmeasured(gate: Gate, report: EvalReport, review: Review | None) -> str | None:
    slices = {each.slice for each in report.scores["candidate"]}
    there = {
        "latency_p95": report.latency_ms,
        "parity": report.parity,
        "llm_judge": report.pairwise_scores,
        "human_review": review,
        "kl_base": report.forgetting,
        "kl_production": report.forgetting,
    }
    for each in single_gates([gate]):
        if each.slice is not None and each.slice not in slices:
            return f"no row of the slice {each.slice} was scored"
        if not there.get(each.metric, True):
            return f"{each.metric} was not measured"
        if "." in each.metric and not all(each.metric in row.values for row in report.rows("candidate", each.slice)):
            return f"{each.metric} was not measured"
    return None


def rollout_move(look: RolloutLook, policy: Rollout) -> str:
    """The move in the state and with the evidence of a stored one, in words. Raises Unknown if the policy watches what was not counted."""
    if look.basis is None:
        raise Unknown("this look moved no traffic: what it saw was not kept")
    own = Rollout.model_validate(look.basis.policy)
    if look.basis.state.in_shadow and policy.shadow != own.shadow:
        raise Unknown("pairs of another shadow phase were not counted")
    margins = {each.metric: each.tolerated for each in own.guardrails}
    for each in policy.guardrails:
        if each.metric not in margins:
            raise Unknown(f"lapses in {each.metric} were not counted")
        if LAPSES[each.metric] in LIMITED and margins[each.metric] != each.tolerated:
            raise Unknown(f"lapses in {each.metric} by another margin were not counted")
    weight = look.basis.state.weight
    if weight and weight not in policy.steps:
        raise Unknown(f"the candidate had {weight} % of traffic, and this policy has other steps")
    basis = look.basis.model_copy(update={"policy": policy.model_dump(mode="json")})
    found = decided_again(look.model_copy(update={"basis": basis}))
    return f"{found.move} {found.weight} %"


def totals(rows: Iterable[Backtested]) -> dict[str, dict[str, int]]:
    """By kind: decisions, the same, differing, unknown."""
    found: dict[str, dict[str, int]] = {}
    for row in rows:
        counts = found.setdefault(row.kind, {"decisions": 0, "same": 0, "differ": 0, "unknown": 0})
        counts["decisions"] += 1
        counts["unknown" if row.now is None else "same" if row.same else "differ"] += 1
    return found
